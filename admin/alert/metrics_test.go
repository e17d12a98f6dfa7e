package alert

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// counted is the sum of a metric.
func counted(t *testing.T, c *Center, name string) (sum float64) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, one := range c.Collectors() {
		registry.MustRegister(one)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return sum
}

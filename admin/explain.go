package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"mirrorpool/pool/selection"
	"mirrorpool/zones"
)

// explainRequest is what /api/v1/explain is asked.
type explainRequest struct {
	client netip.Addr
	pool   string
	host   string
	family int // of the pool's addresses: 4 or 6
	secure bool
}

// serveExplain tells what a client would get, and why. The client's address
// goes into the answer and nowhere else.
func (h *handler) serveExplain(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		fail(w, http.StatusBadRequest, "the query cannot be read: "+err.Error())
		return
	}
	request, err := parseExplain(query)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	table := h.Table()
	if table == nil {
		fail(w, http.StatusServiceUnavailable, "there is no commit to explain by yet")
		return
	}
	pools, hosts := names(table)
	if request.pool == "" && request.host == "" {
		switch {
		case len(pools) == 1:
			request.pool = pools[0]
		case len(pools) == 0 && len(hosts) == 1:
			request.host = hosts[0]
		default:
			reply(w, http.StatusBadRequest, failure{
				Error: fmt.Sprintf("pool or host has to be given; pools are: %s; redirect hosts: %s", listed(pools), listed(hosts)),
				There: slices.Concat(pools, hosts),
			})
			return
		}
	}
	if request.host != "" {
		answerExplanation(w, "redirect host", request.host, hosts,
			table.ExplainHost(request.host, request.client, request.secure, h.live()))
		return
	}
	answerExplanation(w, "pool", request.pool, pools,
		table.ExplainPool(request.pool, request.client, request.family, h.live()))
}

func answerExplanation(w http.ResponseWriter, kind, name string, there []string, e *selection.Explanation) {
	if e == nil {
		reply(w, http.StatusNotFound, failure{
			Error: fmt.Sprintf("there is no %s %q; there are: %s", kind, name, listed(there)),
			There: there,
		})
		return
	}
	reply(w, http.StatusOK, e)
}

// listed are the first of some names, for people.
func listed(names []string) string {
	const most = 20
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// parseExplain reads the query. Every error names the parameter.
func parseExplain(query url.Values) (explainRequest, error) {
	var request explainRequest
	for name, values := range query {
		switch name {
		case "client", "pool", "host", "family", "scheme":
		default:
			return request, fmt.Errorf("unknown parameter %q; expected client, pool, host, family or scheme", name)
		}
		if len(values) > 1 {
			return request, fmt.Errorf("%s is given %d times; expected once", name, len(values))
		}
	}
	if query.Get("client") == "" {
		return request, fmt.Errorf("client is missing; expected an IP address")
	}
	client, err := netip.ParseAddr(query.Get("client"))
	if err != nil {
		return request, fmt.Errorf("client: found %q, expected an IP address", query.Get("client"))
	}
	request.client = client.WithZone("").Unmap()
	request.pool, request.host = query.Get("pool"), query.Get("host")
	if request.pool != "" && request.host != "" {
		return request, fmt.Errorf("pool and host are both given; expected one of them")
	}
	request.family = 4
	if request.client.Is6() {
		request.family = 6
	}
	switch family := query.Get("family"); family {
	case "":
	case "4", "6":
		request.family, _ = strconv.Atoi(family)
	default:
		return request, fmt.Errorf("family: found %q, expected 4 or 6", family)
	}
	switch scheme := query.Get("scheme"); scheme {
	case "", "http":
	case "https":
		request.secure = true
	default:
		return request, fmt.Errorf("scheme: found %q, expected http or https", scheme)
	}
	return request, nil
}

// names gives the names of the pools and of the redirect hosts, sorted.
func names(table *zones.Table) (pools, hosts []string) {
	pools, hosts = []string{}, []string{}
	for _, p := range table.Definition.Pools {
		pools = append(pools, p.Name)
	}
	for _, r := range table.Definition.Redirects {
		hosts = append(hosts, r.Host)
	}
	slices.Sort(pools)
	slices.Sort(hosts)
	return pools, hosts
}

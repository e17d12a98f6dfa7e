//go:build linux

package main

import (
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var goodServer = netip.MustParseAddrPort("127.0.0.1:53")

// parseZone reads a master file.
func parseZone(t *testing.T, text string) map[string]string {
	t.Helper()
	records := map[string]string{}
	parser := dns.NewZoneParser(strings.NewReader(text), "", "")
	for record, more := parser.Next(); more; record, more = parser.Next() {
		if a, is := record.(*dns.A); is {
			records[a.Hdr.Name] = a.A.String()
		}
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	return records
}

func TestTheZoneHasTheNamesOfThePeers(t *testing.T) {
	records := parseZone(t, zoneText(staticNames, hostForm))
	if records["host0.example.test."] != "127.0.1.0" || records["host49.example.test."] != "127.0.1.49" || len(records) != 52 {
		t.Errorf("the zone has %v", records)
	}
	many := parseZone(t, zoneText(100_000, "h%05d"))
	if len(many) != 100_002 || many["h99999.example.test."] != "127.1.135.159" {
		t.Errorf("%d records, the last %s", len(many), many["h99999.example.test."])
	}
}

func TestOurPoolsAreAsTheyShouldBe(t *testing.T) {
	members := &memberListeners{addresses: memberAddresses(5), port: 4711}
	content, err := ordinaryContent(members)
	if err != nil {
		t.Fatal(err)
	}
	var file poolsFile
	if err := json.Unmarshal([]byte(content["pools.json"]), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Pools) != 2 || file.Pools[0].Name != poolName || file.Pools[1].Name != ourAAAA {
		t.Fatalf("the pools are %+v", file.Pools)
	}
	for i, p := range file.Pools {
		weights := map[int]bool{}
		for _, m := range p.Members {
			weights[m.Weight] = true
			address := netip.MustParseAddr(m.Addresses[0])
			if address.Is4() != (i == 0) || p.Health.Check != "none" && !address.IsLoopback() {
				t.Errorf("%s has a member at %s", p.Name, address)
			}
		}
		if len(p.Members) != 5 || p.Answers != 4 || p.TTL != 60 || p.Geo.Policy != "near" || len(weights) < 3 {
			t.Errorf("the pool is %+v", p)
		}
	}
	if check := file.Pools[0].Health; check.Check != "tcp" || check.Port != 4711 {
		t.Errorf("the check is %+v", check)
	}
	// Names of one length, so that questions are of one size.
	if len(ourAAAA) != len(poolName) {
		t.Errorf("%s is not as long as %s", ourAAAA, poolName)
	}
}

func TestGrownContentHasSoManyOfIt(t *testing.T) {
	members := &memberListeners{addresses: memberAddresses(1000), port: 4711}
	for _, kind := range growthSizes {
		for _, count := range kind.counts {
			content, names, err := grownContent(kind.what, count, members)
			if err != nil {
				t.Fatal(err)
			}
			var file poolsFile
			if err := json.Unmarshal([]byte(content["pools.json"]), &file); err != nil {
				t.Fatal(err)
			}
			got := map[string]int{"pools": len(file.Pools), "members": len(file.Pools[0].Members), "static names": strings.Count(content["zones/example.test.zone"], "\nh")}
			if got[kind.what] != count {
				t.Errorf("%d %s, expected %d", got[kind.what], kind.what, count)
			}
			questions, err := askAll(names, 1)
			if err != nil {
				t.Fatal(err)
			}
			asked := map[string]bool{}
			for _, q := range questions {
				asked[string(q.Packet)] = true
			}
			if want := max(1, count*(1-strings.Count(kind.what, "members"))); len(asked) != want || distinctSizes(questions) != 1 {
				t.Errorf("%d %s: %d different questions, expected %d, all of one size", count, kind.what, len(asked), want)
			}
		}
	}
}

func TestEveryPushChangesTheRepository(t *testing.T) {
	members := &memberListeners{addresses: memberAddresses(5), port: 4711}
	seen := map[string]bool{}
	for i := range 10 {
		content, err := reloadContent(members, i)
		if err != nil {
			t.Fatal(err)
		}
		seen[content["pools.json"]+content["zones/example.test.zone"]] = true
		parseZone(t, content["zones/example.test.zone"])
	}
	if len(seen) != 10 {
		t.Errorf("%d different repositories of 10", len(seen))
	}
}

func TestMembersListenAndGo(t *testing.T) {
	m, err := listenAsMembers([]string{"127.0.0.11", "127.0.0.12"})
	if err != nil {
		t.Skipf("no such loopback addresses here: %v", err)
	}
	defer m.close()
	dial := func(address string) error {
		connection, err := net.DialTimeout("tcp", net.JoinHostPort(address, jsonNumber(m.port)), time.Second)
		if err == nil {
			connection.Close()
		}
		return err
	}
	for _, address := range m.addresses {
		if err := dial(address); err != nil {
			t.Error(err)
		}
	}
	m.shut("127.0.0.11")
	if dial("127.0.0.11") == nil || dial("127.0.0.12") != nil {
		t.Error("not the one member is gone")
	}
	if err := m.open("127.0.0.11"); err != nil || dial("127.0.0.11") != nil {
		t.Errorf("the member does not come back: %v", err)
	}
}

func jsonNumber(n int) string {
	text, _ := json.Marshal(n)
	return string(text)
}

func TestMemberAddressesAreDifferentAndOnLoopback(t *testing.T) {
	seen := map[netip.Addr]bool{}
	for _, text := range memberAddresses(1000) {
		address := netip.MustParseAddr(text)
		if !address.IsLoopback() {
			t.Errorf("%s is not on this machine", address)
		}
		seen[address] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different addresses of 1000", len(seen))
	}
}

func TestTheFirstCompileIsFoundInTheLog(t *testing.T) {
	log := `not JSON
{"level":"info","message":"started"}
{"level":"debug","commit":"b7","took":189.611498,"message":"serving a new table"}
{"level":"debug","commit":"b7","took":1.5,"message":"serving a new table"}
`
	if got, err := firstCompile(log); err != nil || got != 189611498*time.Nanosecond {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := firstCompile(`{"message":"started"}`); err == nil {
		t.Error("a log without it is taken")
	}
}

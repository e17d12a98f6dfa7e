package zones

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// catalogZone lists the table's zones for secondaries, which then need no word of
// each new one (RFC 9432). It is transferred, and answers no other questions.
type catalogZone struct {
	serial  Serial
	version *Version
	name    WireName
}

// Figures of a catalog zone's SOA, in seconds, as in RFC 9432's example: secondaries
// look every hour, and as good as never forget their zones. Nobody asks for its
// records, so that no TTL is needed.
const (
	catalogRefresh = 3600
	catalogRetry   = 600
	catalogExpire  = 1<<31 - 2
	catalogSchema  = "2" // the version of RFC 9432
)

// catalogClash is why there is no catalog: a zone of the repository has its name. That
// zone is answered for and is not transferred: secondaries would take it for the list
// of zones, and those who write zones are not those who say which secondaries serve.
type catalogClash struct{ apex, file string }

func (e *catalogClash) Error() string {
	return fmt.Sprintf(
		"the catalog zone has the name of the zone in %s, which is served in its place and not transferred: secondaries keep the list of zones that they have; name another catalog in dns.transfer.catalog, or the zone otherwise",
		e.file)
}

// compileCatalog makes the catalog zone. A zone of the repository that has the
// catalog's name is served in its place, and CatalogProblem says so.
func (t *Table) compileCatalog(in *Input) {
	if in.Catalog == "" {
		return
	}
	apex := canonical(in.Catalog)
	if zone := t.zones[apex]; zone != nil {
		t.catalogProblem = &catalogClash{apex: apex, file: zone.File}
		return
	}
	last, seen := in.Serials[apex]
	serial := in.SerialShare.next(last, seen, t.catalogDigest(apex), in.Now)
	if p := in.Previous; p != nil && p.catalog != nil && p.catalog.version.Apex == apex && p.catalog.serial == serial {
		t.catalog = p.catalog
		return
	}
	header := dns.RR_Header{Name: apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET}
	soa := &dns.SOA{
		Hdr: header, Ns: "invalid.", Mbox: "invalid.", Serial: serial.Number,
		Refresh: catalogRefresh, Retry: catalogRetry, Expire: catalogExpire,
	}
	apexes := make([]string, len(t.served))
	for i, zone := range t.served {
		apexes[i] = zone.Apex
	}
	var name WireName
	name.set(apex)
	t.catalog = &catalogZone{name: name, serial: serial, version: &Version{
		Apex: apex, SOA: soa,
		body: sync.OnceValue(func() *body { return NewVersion(soa, catalogRecords(apex, apexes)).body() }),
	}}
}

// catalogDigest digests what the catalog lists.
func (t *Table) catalogDigest(apex string) string {
	d := newDigest()
	d.text("catalog " + catalogSchema)
	d.text(apex)
	for _, zone := range t.served {
		d.text(zone.Apex)
	}
	return d.hexadecimal()
}

// catalogRecords are all but the SOA (RFC 9432, section 4).
func catalogRecords(apex string, zones []string) []dns.RR {
	header := func(name string, kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET}
	}
	under := "." + apex
	records := []dns.RR{
		&dns.NS{Hdr: header(apex, dns.TypeNS), Ns: "invalid."},
		&dns.TXT{Hdr: header("version"+under, dns.TypeTXT), Txt: []string{catalogSchema}},
	}
	for _, zone := range zones {
		records = append(records, &dns.PTR{Hdr: header(catalogMember(zone)+".zones"+under, dns.TypePTR), Ptr: zone})
	}
	return records
}

// catalogMember is the label under which a zone is listed. It follows from the name
// alone: a secondary that sees another one takes the zone for a new one, and begins
// with it anew (RFC 9432, section 5.4).
func catalogMember(zone string) string {
	hash := sha256.Sum256([]byte(zone))
	return hex.EncodeToString(hash[:16])
}

// CatalogProblem tells why there is no catalog zone though one is wanted; or nil.
func (t *Table) CatalogProblem() error { return t.catalogProblem }

// IsCatalog reports whether a name is that of the catalog zone, about which Answer and
// Append say what they say of any name.
func (t *Table) IsCatalog(name *WireName) bool {
	return t.catalog != nil && equal(name.from(0), t.catalog.name.from(0))
}

// ValidCatalog says what is wrong with a catalog zone's name.
func ValidCatalog(name string) error {
	const room = 32 + len("..zones") // before the name of the catalog
	if _, ok := dns.IsDomainName(name); !ok || strings.ContainsAny(name, " \t\r\n\"();") || strings.Trim(name, ".") == "" || len(dns.Fqdn(name)) > maxName-1-room {
		return fmt.Errorf("found %q, expected the name of a zone that is for this alone, such as catalog.example, of at most %d letters", name, maxName-2-room)
	}
	return nil
}

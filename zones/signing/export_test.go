package signing

import "github.com/miekg/dns"

// SignAt signs with one key for given times.
func SignAt(key *Key, records []dns.RR, inception, expiration uint32) (Signature, error) {
	set, err := newSignable(records, key.signer(), inception, expiration)
	if err != nil {
		return Signature{}, err
	}
	return set.sign(key)
}

// ZoneOfFile is the zone that a file's name tells of.
func ZoneOfFile(id string) (string, bool) { return zoneOfFile(id) }

// Files are what is written of a key.
func Files(key *Key) (public, private []byte, err error) {
	private, err = formatPrivate(key)
	return formatPublic(key), private, err
}

// FilesWithTimes are a key's files with other times.
func FilesWithTimes(public, private []byte, times Times) (changedPublic, changedPrivate []byte) {
	return publicWithTimes(public, times), privateWithTimes(private, times)
}

// PlainECDSA is a signature as RRSIG records have it.
func PlainECDSA(encoded []byte, size int) ([]byte, error) { return plainECDSA(encoded, size) }

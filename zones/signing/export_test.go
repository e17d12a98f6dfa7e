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

package dnsserver

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"mirrorpool/dnsserver/tsig"
)

// everyMessage holds that each message of a transfer is signed, as the DNS library's
// verification sees it.
type everyMessage struct {
	key    *tsig.Key
	before string // the MAC of the message before, of the question at first
	more   bool   // one has come
}

func signedWith(key *tsig.Key, questionMAC []byte) *everyMessage {
	return &everyMessage{key: key, before: hex.EncodeToString(questionMAC)}
}

// verify judges the next message, given as it came and as it was parsed.
func (v *everyMessage) verify(packet []byte, m *dns.Msg) error {
	signature := m.IsTsig()
	if signature == nil {
		return dns.ErrNoSig
	}
	if signature.Hdr.Name != v.key.Name() {
		return fmt.Errorf("signed with key %s, want %s", signature.Hdr.Name, v.key.Name())
	}
	secret := base64.StdEncoding.EncodeToString(testSecret)
	if err := dns.TsigVerify(slices.Clone(packet), secret, v.before, v.more); err != nil {
		return err
	}
	v.before, v.more = signature.MAC, true
	return nil
}

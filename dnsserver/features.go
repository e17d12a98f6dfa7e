package dnsserver

import "github.com/miekg/dns"

// features are parts of EDNS that questions have, one bit for each. What is
// there several times in one question counts once.
type features uint16

const (
	featureOPT features = 1 << iota
	featureDNSSEC
	featureVersion // other than 0
	featureFlags   // other than DO
	featureNSID
	featureSubnet
	featureExpire
	featureCookie
	featureKeepalive
	featurePadding
	featureUnknown       // an option that is none of these
	featureSubnetIgnored // the resolver is not one that is believed
)

// featureNames are the values of a label, by the number of the bit.
var featureNames = [...]string{
	"opt", "dnssec_ok", "other_version", "other_flags",
	"nsid", "client_subnet", "expire", "cookie", "keepalive", "padding", "unknown_option",
	"client_subnet_ignored",
}

// seenInOPT gives the features of an OPT without its options.
func seenInOPT(version uint8, flags uint16) features {
	seen := featureOPT
	if flags&flagDO != 0 {
		seen |= featureDNSSEC
	}
	if flags&^flagDO != 0 {
		seen |= featureFlags
	}
	if version != 0 {
		seen |= featureVersion
	}
	return seen
}

// seenOption gives the feature that an option is.
func seenOption(code uint16) features {
	switch code {
	case optionNSID:
		return featureNSID
	case optionSubnet:
		return featureSubnet
	case optionExpire:
		return featureExpire
	case optionCookie:
		return featureCookie
	case optionKeepalive:
		return featureKeepalive
	case optionPadding:
		return featurePadding
	}
	return featureUnknown
}

// typeSlots is how many types of questions are counted each by itself: those
// with numbers below it. The others are counted together.
const typeSlots = dns.TypeCAA + 1

// typeSlot is the number by which a type of question is counted.
func typeSlot(kind uint16) uint16 { return min(kind, typeSlots) }

// typeName is the value of a label: the type's name, or other where it has
// none, so that no client can make up labels.
func typeName(slot int) string {
	if name, known := dns.TypeToString[uint16(slot)]; known && slot < int(typeSlots) && slot > 0 {
		return name
	}
	return "other"
}

// unusual is what a request asks for that is not a question of class IN; it is
// the value of a label.
type unusual string

const (
	unusualIQuery   unusual = "iquery"
	unusualStatus   unusual = "status"
	unusualNotify   unusual = "notify"
	unusualUpdate   unusual = "update"
	unusualStateful unusual = "dso" // RFC 8490
	unusualOpcode   unusual = "opcode"
	unusualChaos    unusual = "chaos"
	unusualClass    unusual = "class"
	unusualTSIG     unusual = "tsig"        // signed by a key that is not known (RFC 8945)
	unusualCookie   unusual = "cookie_only" // no question (RFC 7873 section 5.4)
)

// unusualOpcodes are the opcodes that have names.
var unusualOpcodes = map[int]unusual{
	dns.OpcodeIQuery: unusualIQuery, dns.OpcodeStatus: unusualStatus,
	dns.OpcodeNotify: unusualNotify, dns.OpcodeUpdate: unusualUpdate, opcodeStateful: unusualStateful,
}

// opcodeStateful is that of DNS Stateful Operations (RFC 8490 section 9.1).
const opcodeStateful = 6

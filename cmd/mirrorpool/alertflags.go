package main

import (
	"fmt"
	"strings"

	"mirrorpool/admin/alert"
	"mirrorpool/pool/health/history"
)

// addFlags tells of the red flags that the history has of members that clients may be
// given. Certificates that end are watched by themselves, with their end.
func (s *standings) addFlags(flags []history.Flag) {
	for _, flag := range flags {
		member, there := s.members[flag.Pool+" "+flag.ID]
		if !there || flag.Kind == history.FlagCertificate {
			continue
		}
		what, severity := "member ", alert.Warning
		if flag.Redirect {
			what = "mirror "
		}
		if flag.Kind == history.FlagAltered {
			severity = alert.Error
		}
		s.flags = append(s.flags, alert.Event{
			Key: "flag " + string(flag.Kind) + " " + flag.Pool + " " + flag.ID, Severity: severity, Begin: flag.Since,
			Pools: []string{flag.Pool}, Subject: what + flag.Member.String(), Words: "has a red flag: " + flag.Words,
			Details:  map[string]string{"pool": flag.Pool, "member": flag.ID, "flag": string(flag.Kind)},
			Evidence: flagEvidence(flag.Worst), Operator: member.operator, Mirror: member.mirror, Once: true,
		})
	}
}

// flagOver says how a flag has ended that is not among those that there are; of is its
// kind and its member.
func (s *standings) flagOver(of string) (words string, over bool) {
	_, member, _ := strings.Cut(of, " ")
	if _, there := s.members[member]; there {
		return "has this red flag no more", true
	}
	return "is not asked any more: the repository does not name it, or gives it no weight, or it is disabled", true
}

// flagEvidence is what the worst probe saw that has to do with a flag, in lines.
func flagEvidence(worst *history.Evidence) []string {
	lines := []string{}
	if worst != nil {
		lines = append(lines, fmt.Sprintf("the worst probe, at %s: %s", worst.Time.UTC().Format("2006-01-02 15:04:05 UTC"), worst.Reason))
		if worst.Address.IsValid() {
			lines = append(lines, "asked at: "+worst.Address.String())
		}
		if worst.Status != 0 {
			lines = append(lines, fmt.Sprintf("status: %d", worst.Status))
		}
		if worst.Bytes > 0 {
			lines = append(lines, fmt.Sprintf("bytes that came: %d", worst.Bytes))
		}
	}
	return append(lines, "`mirrorpool history` tells more")
}

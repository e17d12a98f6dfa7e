package alert

import (
	"bytes"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// maxReferences is how many earlier messages a mail names.
const maxReferences = 10

// compose writes a mail (RFC 5322) with CRLF at the end of each line.
func (s *Mail) compose(recipients []*mail.Address, m *message) []byte {
	subject := m.subject()
	if m.operator != "" {
		subject = m.letterSubject()
	}
	var b bytes.Buffer
	header := func(name string, words ...string) {
		b.WriteString(fold(name, words))
	}
	header("From", s.From.String())
	header("To", listed(recipients)...)
	if m.operator != "" {
		header("Reply-To", listed(s.To)...)
	}
	header("Subject", strings.Split(encoded(subject), " ")...)
	header("Date", m.time.Format(time.RFC1123Z))
	header("Message-ID", s.messageID(m.id))
	if threads := m.threads(); len(threads) > 0 {
		references := make([]string, len(threads))
		for i, id := range threads {
			references[i] = s.messageID(id)
		}
		header("In-Reply-To", references[0])
		header("References", references...)
	}
	header("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notices
	header("X-Auto-Response-Suppress", "All")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	body := quotedprintable.NewWriter(&b)
	_, _ = body.Write([]byte(m.text())) // neither fails: it is memory
	_ = body.Close()
	return b.Bytes()
}

// threads are the messages in which what this one tells was first told, without doubles.
func (m *message) threads() []string {
	var list []string
	for i := range m.notices {
		if id := m.notices[i].thread; id != "" && !slices.Contains(list, id) && len(list) < maxReferences {
			list = append(list, id)
		}
	}
	return list
}

// messageID makes one in the domain of the sender.
func (s *Mail) messageID(id string) string {
	domain := s.From.Address[strings.LastIndexByte(s.From.Address, '@')+1:]
	return "<" + id + "@" + domain + ">"
}

func listed(addresses []*mail.Address) []string {
	list := make([]string, len(addresses))
	for i, one := range addresses {
		if list[i] = one.String(); i < len(addresses)-1 {
			list[i] += ","
		}
	}
	return list
}

// encoded writes a text as RFC 2047 wants it where it is more than ASCII, or could be
// taken for what is encoded.
func encoded(text string) string {
	return mime.QEncoding.Encode("utf-8", strings.ReplaceAll(text, "=?", "= ?"))
}

// maxHeaderLine is how long a line of a header should be (RFC 5322, 2.1.1), in bytes.
const maxHeaderLine = 76

// fold writes a header, with line breaks between its words where it is long. Control
// characters in it do not begin another header: they are left out.
func fold(name string, words []string) string {
	var b strings.Builder
	b.WriteString(name + ":")
	length := len(name) + 1
	for _, word := range words {
		word = strings.Map(func(c rune) rune {
			if c < ' ' || c == 0x7f {
				return -1
			}
			return c
		}, word)
		if length+1+len(word) > maxHeaderLine && length > len(name)+1 && word != "" {
			b.WriteString("\r\n")
			length = 0
		}
		b.WriteString(" " + word)
		length += 1 + len(word)
	}
	b.WriteString("\r\n")
	return b.String()
}

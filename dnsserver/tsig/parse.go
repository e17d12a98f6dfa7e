package tsig

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ParseKeys reads keys as BIND's tsig-keygen writes them and its named.conf has
// them, as many as there are, with comments as there:
//
//	key "name" {
//		algorithm hmac-sha256;
//		secret "base64";
//	};
//
// The file's name is for errors, which have it with line and column, what was found
// and what is expected there. They never show what may be a secret. A file without
// a key is an error as well.
func ParseKeys(name string, data []byte) (*Keyring, error) {
	p := &keyParser{words: words{file: name, text: strings.TrimPrefix(string(data), "\ufeff"), line: 1, column: 1}}
	r, err := p.parse()
	if err != nil {
		return nil, err
	}
	return r, nil
}

// keyParser reads statements.
type keyParser struct {
	words
	keys   []*Key
	places map[string]word // where each name was first
}

func (p *keyParser) parse() (*Keyring, error) {
	p.places = make(map[string]word)
	for {
		first, err := p.next()
		switch {
		case err != nil:
			return nil, err
		case first.kind == wordEnd && len(p.keys) == 0:
			return nil, p.wrong(first, "no key", `key "name" { algorithm hmac-sha256; secret "base64"; };`)
		case first.kind == wordEnd:
			return NewKeyring(p.keys...)
		case first.text != "key" || first.kind != wordPlain:
			return nil, p.unexpected(first, `key, as in key "name" { ... };`)
		}
		if err := p.key(); err != nil {
			return nil, err
		}
	}
}

// key reads what follows the word key.
func (p *keyParser) key() error {
	name, err := p.next()
	if err != nil {
		return err
	}
	if name.kind != wordPlain && name.kind != wordQuoted {
		return p.unexpected(name, "the key's name")
	}
	canonical, _, err := readName(name.text)
	if err != nil {
		return p.at(name, err)
	}
	if first, twice := p.places[canonical]; twice {
		return p.at(name, fmt.Errorf("found a second key named %s, expected each name once: the first is in line %d", canonical, first.line))
	}
	p.places[canonical] = name
	if err := p.mark("{"); err != nil {
		return err
	}
	key, err := p.body(name)
	if err != nil {
		return err
	}
	p.keys = append(p.keys, key)
	return p.mark(";")
}

// body reads a key's two statements, in any order, and the bracket after them.
func (p *keyParser) body(name word) (*Key, error) {
	var algorithmName, secret word
	for {
		statement, err := p.next()
		if err != nil {
			return nil, err
		}
		var into *word
		switch {
		case statement.kind == wordMark && statement.text == "}":
			return p.make(name, statement, algorithmName, secret)
		case statement.kind == wordPlain && statement.text == "algorithm":
			into = &algorithmName
		case statement.kind == wordPlain && statement.text == "secret":
			into = &secret
		default:
			return nil, p.unexpected(statement, "algorithm or secret")
		}
		if into.line != 0 {
			return nil, p.wrong(statement, "a second "+statement.text, "one")
		}
		if *into, err = p.next(); err != nil {
			return nil, err
		}
		if into.kind != wordPlain && into.kind != wordQuoted {
			return nil, p.unexpected(*into, "what the "+statement.text+" is")
		}
		if err := p.mark(";"); err != nil {
			return nil, err
		}
	}
}

// make makes a key of its statements; end is the bracket behind them.
func (p *keyParser) make(name, end, algorithmName, secret word) (*Key, error) {
	switch {
	case algorithmName.line == 0:
		return nil, p.unexpected(end, "algorithm "+knownAlgorithms+";")
	case secret.line == 0:
		return nil, p.unexpected(end, `secret "base64";`)
	}
	if _, _, err := readAlgorithm(algorithmName.text); err != nil {
		return nil, p.at(algorithmName, err)
	}
	bare := strings.Map(func(c rune) rune {
		if strings.ContainsRune(" \t\r\n", c) {
			return -1
		}
		return c
	}, secret.text)
	decoded, err := base64.StdEncoding.DecodeString(bare)
	if err != nil {
		return nil, p.wrong(secret, "what is no base64", "the secret as tsig-keygen prints it")
	}
	key, err := NewKey(name.text, algorithmName.text, decoded)
	if err != nil {
		return nil, p.at(secret, err)
	}
	return key, nil
}

// mark reads a bracket or a semicolon.
func (p *keyParser) mark(expected string) error {
	found, err := p.next()
	if err == nil && (found.kind != wordMark || found.text != expected) {
		err = p.unexpected(found, expected)
	}
	return err
}

type wordKind uint8

const (
	wordEnd    wordKind = iota // of the file
	wordPlain                  // without quotes
	wordQuoted                 // in quotes, which are not in it
	wordMark                   // { } or ;
)

// word is a piece of a file and where it begins.
type word struct {
	kind         wordKind
	text         string
	line, column int // from 1 on; columns are bytes
}

// words cuts a file in the syntax of named.conf into words.
type words struct {
	file, text   string // what is left of the text
	line, column int
}

// advance passes over so many bytes.
func (w *words) advance(n int) {
	for _, c := range []byte(w.text[:n]) {
		if c == '\n' {
			w.line, w.column = w.line+1, 1
		} else {
			w.column++
		}
	}
	w.text = w.text[n:]
}

// space passes over white space and comments.
func (w *words) space() error {
	for {
		w.advance(len(w.text) - len(strings.TrimLeft(w.text, " \t\r\n\v\f")))
		switch {
		case strings.HasPrefix(w.text, "#"), strings.HasPrefix(w.text, "//"):
			end := strings.IndexByte(w.text, '\n')
			if end < 0 {
				end = len(w.text)
			}
			w.advance(end)
		case strings.HasPrefix(w.text, "/*"):
			length := strings.Index(w.text[2:], "*/")
			if length < 0 {
				return w.wrong(word{line: w.line, column: w.column}, "a comment without its end", "*/")
			}
			w.advance(length + 4)
		default:
			return nil
		}
	}
}

// next gives the next word; at the end, one of kind wordEnd.
func (w *words) next() (word, error) {
	if err := w.space(); err != nil {
		return word{}, err
	}
	found := word{line: w.line, column: w.column}
	switch {
	case w.text == "":
	case strings.ContainsRune("{};", rune(w.text[0])):
		found.kind, found.text = wordMark, w.text[:1]
		w.advance(1)
	case w.text[0] == '"':
		end := strings.IndexByte(w.text[1:], '"')
		if end < 0 {
			return word{}, w.wrong(found, "a quotation mark", "a second one behind the text")
		}
		found.kind, found.text = wordQuoted, w.text[1:1+end]
		w.advance(end + 2)
	default:
		end := 1
		for end < len(w.text) && !strings.ContainsRune(" \t\r\n\v\f{};\"#", rune(w.text[end])) && !strings.HasPrefix(w.text[end:], "/*") {
			end++ // two slashes may be base64
		}
		found.kind, found.text = wordPlain, w.text[:end]
		w.advance(end)
	}
	return found, nil
}

// unexpected says that another word should be there. A word that is none of the
// syntax may be a secret in a wrong place, and is not said.
func (w *words) unexpected(found word, expected string) error {
	text := "something else"
	switch {
	case found.kind == wordEnd:
		text = "the end of the file"
	case found.kind == wordMark, found.text == "key", found.text == "algorithm", found.text == "secret":
		text = found.text
	case found.kind == wordQuoted:
		text = "a text in quotes"
	}
	return w.wrong(found, text, expected)
}

func (w *words) wrong(where word, found, expected string) error {
	return w.at(where, errors.New("found "+found+", expected "+expected))
}

func (w *words) at(where word, err error) error {
	return fmt.Errorf("%s:%d:%d: %w", w.file, where.line, where.column, err)
}

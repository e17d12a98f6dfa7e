package main

import (
	"fmt"
	"io/fs"
	"sync"

	"mirrorpool/dnsserver/tsig"
)

// maxKeyFile is thousands of keys, in bytes.
const maxKeyFile = 1 << 20

// keyFile are the TSIG keys of a file that is read again and again. A file that has
// become bad changes nothing. It is safe for concurrent use.
type keyFile struct {
	setting string                    // the configuration's key that names it
	path    string                    // empty: there is no file, and there are no keys
	check   func(*tsig.Keyring) error // what else the keys have to be; nil: nothing

	mutex   sync.Mutex
	keys    *tsig.Keyring
	exposed bool // others than the file's owner and group may read or write it
}

// openKeyFile reads the file.
func openKeyFile(setting, path string, check func(*tsig.Keyring) error) (*keyFile, error) {
	f := &keyFile{setting: setting, path: path, check: check}
	if _, err := f.refresh(); err != nil {
		return nil, err
	}
	return f, nil
}

// reopen gives the keys of a configuration that may name another file, or want other
// keys of it. f may be nil: there was none before.
func (f *keyFile) reopen(setting, path string, check func(*tsig.Keyring) error) (*keyFile, error) {
	next, err := openKeyFile(setting, path, check)
	if err == nil || f == nil || path != f.path {
		return next, err
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.keys == nil || check(f.keys) != nil {
		return nil, err
	}
	return &keyFile{setting: setting, path: path, check: check, keys: f.keys, exposed: f.exposed}, nil
}

// current are the keys in use; nil where there is no file. A nil keyFile has none.
func (f *keyFile) current() *tsig.Keyring {
	if f == nil {
		return nil
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.keys
}

// isExposed reports whether any user of the machine may read or write the file.
func (f *keyFile) isExposed() bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.exposed
}

// refresh reads the file, and reports whether the keys are other ones now.
func (f *keyFile) refresh() (changed bool, err error) {
	var keys *tsig.Keyring
	var mode fs.FileMode
	if f.path != "" {
		if keys, mode, err = readKeyFile(f.path); err != nil {
			return false, fmt.Errorf("%s: %w", f.setting, err)
		}
	}
	if f.check != nil {
		if err := f.check(keys); err != nil {
			return false, err
		}
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	changed = !keys.Equal(f.keys)
	f.keys, f.exposed = keys, mode.Perm()&0o006 != 0
	return changed, nil
}

// keyFiles are as tsig-keygen writes them.
var keyFiles = smallFile{
	most:      maxKeyFile,
	missing:   "make it with `tsig-keygen -a hmac-sha256 NAME`",
	irregular: "name one as `tsig-keygen -a hmac-sha256 NAME` writes it",
	large:     "name a file with TSIG keys alone",
}

// readKeyFile reads a file of keys. The error says the way out.
func readKeyFile(path string) (keys *tsig.Keyring, mode fs.FileMode, err error) {
	data, mode, err := keyFiles.read(path)
	if err != nil {
		return nil, 0, err
	}
	keys, err = tsig.ParseKeys(path, data)
	return keys, mode, err
}

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// smallFile is a kind of file that the configuration names and that is read whole,
// with the ways out that its errors tell.
type smallFile struct {
	most int // bytes
	// missing tells what to do without the file, irregular what to name where it is
	// none, and large what where it is too long.
	missing, irregular, large string
}

// read gives the content of a file, and who may read it. One that is not ended, such
// as a pipe, is not waited for.
func (s smallFile) read(path string) (data []byte, mode fs.FileMode, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s", err, s.missing)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is no regular file: %s", path, s.irregular)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: it has to be readable by the user that runs mirrorpool", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	data, err = io.ReadAll(io.LimitReader(file, int64(s.most)+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > s.most {
		return nil, 0, fmt.Errorf("%s has more than %d bytes: %s", path, s.most, s.large)
	}
	return data, info.Mode(), nil
}

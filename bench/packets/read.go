package packets

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Read reads all packets that are in files below a directory: one packet in each
// NAME.pkt and NAME.raw, any number in each NAME.pkts.gz, each with its length
// before it as over TCP. Other files are passed over. A file that is not what its
// name says, or a directory without any packet, is an error.
func Read(directory string) ([][]byte, error) {
	var all [][]byte
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var found [][]byte
		switch {
		case entry.IsDir():
		case strings.HasSuffix(path, ".pkts.gz"):
			found, err = readMany(path)
		case strings.HasSuffix(path, ".pkt"), strings.HasSuffix(path, ".raw"):
			found, err = readOne(path)
		}
		all = append(all, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading packets: %w", err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("reading packets: %s has none: expected files named *.pkt, *.raw or *.pkts.gz", directory)
	}
	return all, nil
}

func readOne(path string) ([][]byte, error) {
	packet, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(packet) > MaxSize {
		return nil, fmt.Errorf("%s has %d bytes, expected one packet of at most %d", path, len(packet), MaxSize)
	}
	return [][]byte{packet}, nil
}

func readMany(path string) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	all, err := readFramed(unpacked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

// readFramed reads packets, each with its length before it.
func readFramed(from io.Reader) (all [][]byte, err error) {
	for {
		var prefix [2]byte
		if _, err := io.ReadFull(from, prefix[:]); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the length of packet %d: %w", len(all)+1, err)
		}
		packet := make([]byte, binary.BigEndian.Uint16(prefix[:]))
		if _, err := io.ReadFull(from, packet); err != nil {
			return nil, fmt.Errorf("reading packet %d of %d bytes: %w", len(all)+1, len(packet), err)
		}
		all = append(all, packet)
	}
}

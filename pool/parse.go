package pool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	// MirrorsPath is where the mirrors of the HTTP pool stand by default.
	MirrorsPath = "mirrors.json"
	// PoolsPath is where DNS pools and redirect hosts stand.
	PoolsPath = "pools.json"
	// ZonesPath is the directory of the zone files.
	ZonesPath = "zones"
	// MaxFileSize is how many bytes a file of the repository may have.
	MaxFileSize = 16 << 20

	zoneSuffix = ".zone"
)

// Parse reads the files of a mirrors repository. It reports all that is wrong,
// sorted by file, line and column; only what follows a syntax error in the same
// file is not looked at. The Definition is nil if, and only if, one of the
// problems is an Error.
//
// Every file is optional, but a repository without any is an error. Zone files
// are read and not parsed. Files that Parse does not know are left alone.
func Parse(fsys fs.FS) (*Definition, []Problem) {
	definition, problems := Inspect(fsys)
	if HasErrors(problems) {
		return nil, problems
	}
	return definition, problems
}

// Inspect reads as Parse does, and gives what could be read also where there
// are errors, so that whoever checks more can report it in the same go. With
// errors the Definition is for checks alone, never for serving: a pool whose
// name cannot be read or stands there before has none, and what else is wrong is left out.
func Inspect(fsys fs.FS) (*Definition, []Problem) {
	p := &parser{fsys: fsys, definition: &Definition{}, lists: map[string]*MirrorList{}}
	present := p.zones()
	present = p.mirrors(MirrorsPath) || present
	present = p.pools() || present
	if !present {
		p.problems.add(Problem{
			Position: Position{File: "."}, Severity: Error,
			Found:    "none of the files of a mirrors repository",
			Expected: fmt.Sprintf("%s, %s or %s/*%s", MirrorsPath, PoolsPath, ZonesPath, zoneSuffix),
		})
	}
	p.crossCheck()
	return p.definition, p.problems.sorted()
}

// parser is one run of Parse.
type parser struct {
	fsys       fs.FS
	definition *Definition
	problems   problemList
	// lists are the mirrors files that were looked for, by path: nil for those
	// that are not there or could not be read.
	lists map[string]*MirrorList
	// links are the redirect hosts with what they name in other files.
	links []redirectLink
}

// fileError reports what is wrong with a file as a whole.
func (p *parser) fileError(name, found, expected string) {
	p.problems.add(Problem{
		Position: Position{File: name}, Severity: Error, Found: found, Expected: expected,
	})
}

// read gives a file's bytes. It reports what keeps it from being read, except
// its absence. present tells whether there is something of that name.
func (p *parser) read(name string) (data []byte, present, ok bool) {
	const regular = "a regular file"
	// Symbolic links are not followed: the commit would then depend on what
	// lies around it.
	if !p.inDirectories(name) {
		return nil, true, false
	}
	info, err := fs.Lstat(p.fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, false
	case err != nil:
		p.fileError(name, describeError(err), regular)
		return nil, true, false
	case !info.Mode().IsRegular():
		p.fileError(name, describeMode(info.Mode()), regular)
		return nil, true, false
	case info.Size() > MaxFileSize:
		p.tooLarge(name)
		return nil, true, false
	}
	file, err := p.fsys.Open(name)
	if err != nil {
		p.fileError(name, describeError(err), regular)
		return nil, true, false
	}
	defer file.Close()
	data, err = io.ReadAll(io.LimitReader(file, MaxFileSize+1))
	switch {
	case err != nil:
		p.fileError(name, describeError(err), "a file that can be read")
		return nil, true, false
	case len(data) > MaxFileSize:
		p.tooLarge(name)
		return nil, true, false
	}
	return data, true, true
}

// inDirectories sees that what a path leads through are directories, as far as
// they are there, and reports what is none.
func (p *parser) inDirectories(name string) bool {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		info, err := fs.Lstat(p.fsys, name[:i])
		if err == nil && !info.IsDir() {
			p.fileError(name[:i], describeMode(info.Mode()), "a directory")
			return false
		}
	}
	return true
}

func (p *parser) tooLarge(name string) {
	p.fileError(name, "a larger file", fmt.Sprintf("at most %d MiB", MaxFileSize>>20))
}

// describeError gives the reason of a failed file operation without its path,
// which may lie outside the repository and say nothing to its readers.
func describeError(err error) string {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	return fmt.Sprintf("an error (%v)", err)
}

func describeMode(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "a regular file"
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "a special file"
}

// zones reads the zone files and tells whether there are any.
func (p *parser) zones() bool {
	if !p.inDirectories(ZonesPath + "/") {
		return true
	}
	entries, err := fs.ReadDir(p.fsys, ZonesPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case err != nil:
		p.fileError(ZonesPath, describeError(err), "a directory that can be read")
		return true
	}
	present := false
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || path.Ext(name) != zoneSuffix {
			continue
		}
		present = true
		name = path.Join(ZonesPath, name)
		if data, _, ok := p.read(name); ok {
			p.definition.Zones = append(p.definition.Zones, ZoneFile{Path: name, Data: data})
		}
	}
	slices.SortFunc(p.definition.Zones, func(a, b ZoneFile) int { return strings.Compare(a.Path, b.Path) })
	return present
}

// List gives the mirrors file of that path; nil if the definition has none.
func (d *Definition) List(path string) *MirrorList {
	for _, list := range d.MirrorLists {
		if list.Path == path {
			return list
		}
	}
	return nil
}

// Pool gives the DNS pool of that name, in lower case and without the final
// dot; nil if there is none.
func (d *Definition) Pool(name string) *Pool {
	for _, pool := range d.Pools {
		if pool.Name == name {
			return pool
		}
	}
	return nil
}

// Redirect gives the redirect host of that name, in lower case and without port
// and final dot; nil if there is none.
func (d *Definition) Redirect(host string) *Redirect {
	for _, redirect := range d.Redirects {
		if redirect.Host == host {
			return redirect
		}
	}
	return nil
}

// TotalWeight is the sum of the members' weights, without the reserve.
func (p *Pool) TotalWeight() int {
	total := 0
	for _, member := range p.Members {
		if !member.Reserve {
			total += int(member.Weight)
		}
	}
	return total
}

// TotalWeight is the sum of the mirrors' weights.
func (l *MirrorList) TotalWeight() int {
	total := 0
	for _, mirror := range l.Mirrors {
		total += int(mirror.Weight)
	}
	return total
}

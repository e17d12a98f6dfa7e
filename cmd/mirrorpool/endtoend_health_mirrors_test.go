//go:build e2e

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// originAddress is where the files come from that mirrors are compared with.
const originAddress = "127.1.0.1"

// healthMembers is how many mirrors each pool has; the first is the one that fails.
const healthMembers = 4

// healthFiles is what mirrors hold.
type healthFiles struct {
	image, before []byte // the file that clients want, and that of two hours ago
}

func newHealthFiles() healthFiles {
	files := healthFiles{image: make([]byte, imageSize), before: make([]byte, imageSize)}
	// Neither ever fails: see its documentation.
	_, _ = rand.Read(files.image)
	_, _ = rand.Read(files.before)
	return files
}

// healthMirror is an nginx: that of a pool's first member, or that of all others.
type healthMirror struct {
	lab      *healthLab
	label    string
	address  string
	address6 string // empty: none
	secure   bool
	root     string // of its files
	state    string // where nginx keeps its own
	listen   string // directives, for all addresses
	names    string // that it answers for
}

// memberAddress is that of a member of the pool, counted from 0.
func (f *faultPool) memberAddress(i int) string { return fmt.Sprintf("127.1.%d.%d", f.number, i+1) }

func (f *faultPool) memberAddress6(i int) string { return fmt.Sprintf("fd00:%d::%d", f.number, i+1) }

// startHealthMirrors runs an nginx for each pool's first member, and one for all others.
func (lab *healthLab) startHealthMirrors() {
	lab.Helper()
	lab.content = newHealthFiles()
	if err := os.Chmod(lab.directory, 0o755); err != nil {
		lab.Fatal(err)
	}
	lab.makeAuthority()
	well := &healthMirror{lab: lab, label: "well", names: originAddress + " *.health.test *.gdnsd.test", secure: true}
	var labels []string
	for _, fault := range lab.faults {
		port := 80
		if fault.secure {
			port = 443
			labels = append(labels, fault.label)
		}
		fault.victim = &healthMirror{
			lab: lab, label: fault.label, secure: fault.secure, address: fault.memberAddress(0),
			names: fmt.Sprintf("%[1]s.health.test %[1]s.gdnsd.test", fault.label),
		}
		fault.victim.listen = listens(fault.victim.address, port)
		for i := 1; i < healthMembers; i++ {
			well.listen += listens(fault.memberAddress(i), port)
		}
		if fault.dual {
			fault.victim.address6 = fault.memberAddress6(0)
			for i := range healthMembers {
				lab.command("ip", "address", "add", fault.memberAddress6(i)+"/128", "dev", "lo", "nodad")
				if i > 0 {
					well.listen += listens("["+fault.memberAddress6(i)+"]", port)
				}
			}
			fault.victim.listen += listens("["+fault.victim.address6+"]", port)
		}
	}
	well.address = originAddress
	well.listen += listens(well.address, 80)
	well.prepare(labels...)
	well.start()
	for _, fault := range lab.faults {
		fault.victim.prepare(fault.label)
		fault.victim.start()
		for i := range healthMembers {
			if fault.rsync {
				fault.victim.startRsync(fault.memberAddress(i))
			}
		}
	}
}

// listens is nginx's directive for an address; DEFAULT stands for what makes it the server
// of all other names.
func listens(address string, port int) string {
	secure := ""
	if port == 443 {
		secure = " ssl"
	}
	return fmt.Sprintf("listen %s:%d%sDEFAULT; ", address, port, secure)
}

// prepare gives the mirror its files.
func (m *healthMirror) prepare(labels ...string) {
	m.root, m.state = filepath.Join(m.lab.directory, m.label, "www"), filepath.Join(m.lab.directory, m.label)
	m.fill()
	if m.secure {
		m.certify(time.Hour, labels...)
	}
	m.configure("")
}

// fill has the mirror follow again: it gets all files as they are now.
func (m *healthMirror) fill() {
	m.put(tracePath, []byte(fmt.Sprintln(time.Now().Unix())))
	m.put(imagePath, m.lab.content.image)
}

func (m *healthMirror) process() string { return "nginx-" + m.label }

// signal reaches nginx itself, which reads its configuration and has a worker for all else.
func (m *healthMirror) signal(signal syscall.Signal) {
	m.kill(m.lab.processes[m.process()].Process.Pid, signal)
}

// signalAll reaches nginx and its workers.
func (m *healthMirror) signalAll(signal syscall.Signal) {
	m.kill(-m.lab.processes[m.process()].Process.Pid, signal)
}

func (m *healthMirror) kill(id int, signal syscall.Signal) {
	if err := syscall.Kill(id, signal); err != nil {
		m.lab.Errorf("signalling the mirror of %s: %v", m.label, err)
	}
}

// configure writes nginx's configuration, which answers only for the pool's names. The
// directives come before all that is asked for.
func (m *healthMirror) configure(directives string) {
	secure := ""
	if m.secure {
		secure = fmt.Sprintf("ssl_certificate %[1]s/chain.pem; ssl_certificate_key %[1]s/key.pem;", m.state)
	}
	config := fmt.Sprintf(`
daemon off;
user root;
worker_processes 1;
pid %[1]s/pid;
error_log %[1]s/error.log;
worker_rlimit_nofile 4096;
events { worker_connections 2048; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server_names_hash_bucket_size 128;
  %[2]s
  server { %[3]s return 404; }
  server { %[4]s server_name %[5]s; root %[6]s; %[7]s }
}
`, m.state, secure, strings.ReplaceAll(m.listen, "DEFAULT", " default_server"), strings.ReplaceAll(m.listen, "DEFAULT", ""),
		m.names, m.root, directives)
	if err := os.WriteFile(filepath.Join(m.state, "nginx.conf"), []byte(config), 0o600); err != nil {
		m.lab.Errorf("configuring the mirror of %s: %v", m.label, err)
	}
}

func (m *healthMirror) reconfigure(directives string) {
	m.configure(directives)
	m.signal(syscall.SIGHUP)
}

func (m *healthMirror) start() {
	m.lab.Helper()
	// It has a process group of its own.
	m.lab.start(m.process(), "setsid", "/usr/sbin/nginx", "-p", m.state, "-e", m.state+"/error.log", "-c", m.state+"/nginx.conf")
	port := 80
	if m.secure && m.label != "well" {
		port = 443
	}
	m.lab.eventually("nginx answers for "+m.label, 10*time.Second, func() bool { return accepts(m.address, port) })
}

// startRsync runs an rsync daemon with the mirror's files at an address.
func (m *healthMirror) startRsync(address string) {
	m.lab.Helper()
	m.configureRsync(address, "mirror")
	m.lab.start("rsync-"+address, "rsync", "--daemon", "--no-detach", "--address="+address, "--config="+m.rsyncFile(address))
	m.lab.eventually("rsync answers at "+address, 10*time.Second, func() bool { return accepts(address, 873) })
}

func (m *healthMirror) rsyncFile(address string) string {
	return filepath.Join(m.state, "rsyncd-"+address+".conf")
}

func (m *healthMirror) configureRsync(address, module string) {
	config := fmt.Sprintf("log file = %s/rsyncd.log\nuse chroot = no\n[%s]\npath = %s\n", m.state, module, m.root)
	if err := os.WriteFile(m.rsyncFile(address), []byte(config), 0o600); err != nil {
		m.lab.Errorf("configuring rsync for %s: %v", m.label, err)
	}
}

// makeAuthority makes the one that signs the mirrors' certificates. The server is told of it
// as any program is that uses the machine's authorities.
func (lab *healthLab) makeAuthority() {
	lab.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "The laboratory's authority"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		lab.Fatal(err)
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		lab.Fatal(err)
	}
	if lab.authority, err = x509.ParseCertificate(raw); err != nil {
		lab.Fatal(err)
	}
	lab.authorityKey = key
	lab.Setenv("SSL_CERT_FILE", lab.write("authority.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))))
	lab.Setenv("SSL_CERT_DIR", lab.directory)
}

// certify gives the mirror a certificate for the pools of these labels, valid until then.
func (m *healthMirror) certify(until time.Duration, labels ...string) {
	m.lab.Helper()
	var names []string
	for _, label := range labels {
		names = append(names, label+".health.test", label+".gdnsd.test")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.lab.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "A mirror"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(until), DNSNames: names,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, m.lab.authority, key.Public(), m.lab.authorityKey)
	if err != nil {
		m.lab.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		m.lab.Fatal(err)
	}
	m.lab.write(m.label+"/chain.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})))
	m.lab.write(m.label+"/key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})))
}

// startFailing is a server behind a mirror that fails every fifth request for each file of
// each host, and gives its address. It is started once.
func (lab *healthLab) startFailing(m *healthMirror) string {
	lab.Helper()
	if lab.failing != "" {
		return lab.failing
	}
	var mutex sync.Mutex
	counts := map[string]int{}
	files := http.FileServer(http.Dir(m.root))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		lab.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		counts[r.Host+r.URL.Path]++
		fails := counts[r.Host+r.URL.Path]%5 == 0
		mutex.Unlock()
		if fails {
			http.Error(w, "one in five", http.StatusServiceUnavailable)
			return
		}
		files.ServeHTTP(w, r)
	})}}
	server.Start()
	lab.Cleanup(server.Close)
	lab.failing = listener.Addr().String()
	return lab.failing
}

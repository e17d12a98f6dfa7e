//go:build e2e

package main

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

// mirrorAddresses are the mirrors of the test's repository, by address.
var mirrorAddresses = []string{"127.0.0.31", "127.0.0.32", "127.0.0.33"}

// startMirrors runs one nginx for each mirror, with a fresh trace file.
func (w *world) startMirrors() {
	w.write("www/tails/project/trace", fmt.Sprintf("%d\n", time.Now().Unix()))
	w.write("www/tails/stable/tails.img", "an image\n")
	if err := os.Chmod(w.directory, 0o755); err != nil {
		w.Fatal(err)
	}
	w.command("chmod", "-R", "a+rX", filepath.Join(w.directory, "www"))
	for _, address := range mirrorAddresses {
		w.startMirror(address)
	}
}

func (w *world) startMirror(address string) {
	w.Helper()
	also := ""
	if address == mirrorAddresses[0] {
		also = fmt.Sprintf("listen [::1]:%d;", w.mirrorPort)
	}
	state := filepath.Join(w.directory, "nginx-"+address)
	if err := os.MkdirAll(state, 0o755); err != nil {
		w.Fatal(err)
	}
	config := w.write("nginx-"+address+"/nginx.conf", fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server { listen %[2]s:%[3]d; %[4]s root %[5]s; }
}
`, state, address, w.mirrorPort, also, filepath.Join(w.directory, "www")))
	w.start(address, "/usr/sbin/nginx", "-p", state, "-e", state+"/error.log", "-c", config)
	w.eventually("nginx answers on "+address, 10*time.Second, func() bool { return accepts(address, w.mirrorPort) })
}

func accepts(address string, port int) bool {
	connection, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", address, port), time.Second)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

// startRepository makes a bare repository of the test data and serves it by
// sshd with a key of its own.
func (w *world) startRepository() {
	bare := filepath.Join(w.directory, "mirrors.git")
	w.command("git", "init", "--quiet", "--bare", "--initial-branch=main", bare)
	w.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(w.directory, "id_ed25519"))
	w.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(w.directory, "host_key"))
	host := strings.Fields(w.read(filepath.Join(w.directory, "host_key.pub")))
	w.write("known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s %s\n", w.sshPort, host[0], host[1]))
	w.write("authorized_keys", w.read(filepath.Join(w.directory, "id_ed25519.pub")))
	w.write("sshd_config", fmt.Sprintf(`
ListenAddress 127.0.0.1:%[1]d
HostKey %[2]s/host_key
AuthorizedKeysFile %[2]s/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
`, w.sshPort, w.directory))
	w.startSSH()

	w.command("git", "clone", "--quiet", w.remote(), w.checkout)
	for _, file := range txtar.Parse([]byte(w.read("../../testdata/end-to-end/repository.txtar"))).Files {
		content := strings.ReplaceAll(string(file.Data), "MIRROR_PORT", fmt.Sprint(w.mirrorPort))
		w.write(filepath.Join("checkout", file.Name), content)
	}
	w.commandIn(w.checkout, "git", "checkout", "--quiet", "-B", "main")
	w.push("The mirrors")
}

func (w *world) startSSH() {
	if os.Getuid() == 0 {
		// Where privileges are separated, it wants a directory for that.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			w.Fatal(err)
		}
	}
	w.start("sshd", "/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(w.directory, "sshd_config"))
	w.eventually("sshd answers", 10*time.Second, func() bool { return accepts("127.0.0.1", w.sshPort) })
}

func (w *world) remote() string {
	self, err := user.Current()
	if err != nil {
		w.Fatal(err)
	}
	return fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", self.Username, w.sshPort, filepath.Join(w.directory, "mirrors.git"))
}

// push commits everything and pushes it, and gives the commit.
func (w *world) push(message string) string {
	w.Helper()
	w.commandIn(w.checkout, "git", "add", ".")
	w.commandIn(w.checkout, "git", "commit", "--quiet", "-m", message)
	w.commandIn(w.checkout, "git", "push", "--quiet", "origin", "main")
	return strings.TrimSpace(w.commandIn(w.checkout, "git", "rev-parse", "HEAD"))
}

// edit replaces text in a file of the checkout.
func (w *world) edit(file, from, to string) {
	w.Helper()
	before := w.read(filepath.Join(w.checkout, file))
	after := strings.Replace(before, from, to, 1)
	if after == before {
		w.Fatalf("%s does not hold %q", file, from)
	}
	w.write(filepath.Join("checkout", file), after)
}

func (w *world) startServer() { w.startServerPolling("1s") }

// startServerPolling starts it with that time between two looks at the remote.
func (w *world) startServerPolling(poll string) {
	w.write("mirrorpool.yaml", fmt.Sprintf(`
git:
  url: %[1]s
  branch: main
  poll: %[6]s
  timeout: 10s
  ssh_key: %[2]s/id_ed25519
  known_hosts: %[2]s/known_hosts
state_dir: %[2]s/state
dns:
  listen: ["127.0.0.1:%[3]d", "[::1]:%[3]d"]
  nsid: first
http:
  listen: ["127.0.0.1:%[4]d"]
  trusted_proxies: ["127.0.0.1/32"]
admin:
  listen: 127.0.0.1:%[5]d
`, w.remote(), w.directory, w.dnsPort, w.httpPort, w.adminPort, poll))
	w.runServer()
}

func (w *world) runServer() {
	w.start("server", w.program, "serve", "--config", w.config)
	w.eventually("the server is healthy", 20*time.Second, func() bool { return w.get("/healthz") != "" })
}

// startResolver runs unbound, which knows only the test's zone.
func (w *world) startResolver() {
	config := w.write("unbound.conf", fmt.Sprintf(`
server:
  interface: 127.0.0.1@%[1]d
  directory: "%[2]s"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  root-hints: "%[2]s/root.hints"
  num-threads: 1
  local-zone: "test." nodefault
stub-zone:
  name: "mirrors.test"
  stub-addr: 127.0.0.1@%[3]d
`, w.resolver, w.directory, w.dnsPort))
	// Nothing may leave the machine: the only root server is on loopback.
	w.write("root.hints", ". 3600000 NS a.root.\na.root. 3600000 A 127.0.0.254\n")
	w.start("unbound", "/usr/sbin/unbound", "-d", "-c", config)
	w.eventually("unbound answers", 10*time.Second, func() bool { return accepts("127.0.0.1", w.resolver) })
}

package tsig

import (
	"context"
	"encoding/base64"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// serveOne verifies the next question that comes to a socket, and answers it with
// a signature.
func serveOne(socket net.PacketConn, keys *Keyring) (Signature, error) {
	buffer := make([]byte, 4096)
	n, from, err := socket.ReadFrom(buffer)
	if err != nil {
		return Signature{}, err
	}
	s, err := Verify(buffer[:n], keys, nil, time.Now())
	if err != nil {
		return s, err
	}
	answer := answerTo(buffer[:headerSize])
	for i := 4; i < headerSize; i++ {
		answer[i] = 0
	}
	if buffer[2]>>3&15 == 0 { // a question comes back, an UPDATE's zone need not
		end, _ := skipName(buffer, headerSize)
		answer[5] = 1
		answer = append(answer, buffer[headerSize:end+4]...)
	}
	_, err = socket.WriteTo(s.SignAnswer(answer, time.Now()), from)
	return s, err
}

// TestPeersSignAndVerify has the tools of BIND and Knot ask, and take the answers.
func TestPeersSignAndVerify(t *testing.T) {
	for _, algorithmName := range []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		key := mustKey(t, "Key.example", algorithmName)
		keyArgument := algorithmName + ":key.example:" + base64.StdEncoding.EncodeToString(key.secret())
		for _, tool := range []string{"dig", "kdig", "nsupdate"} {
			t.Run(tool+" "+algorithmName, func(t *testing.T) {
				path := needTool(t, tool)
				socket, err := net.ListenPacket("udp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer socket.Close()
				_ = socket.SetReadDeadline(time.Now().Add(time.Minute))
				_, port, _ := net.SplitHostPort(socket.LocalAddr().String())
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				command := exec.CommandContext(ctx, path, "-y", keyArgument, "@127.0.0.1", "-p", port, "host.example", "A")
				if tool == "nsupdate" {
					command = exec.CommandContext(ctx, path, "-y", keyArgument, "-d")
					command.Stdin = strings.NewReader("server 127.0.0.1 " + port + "\nzone example\nupdate add a.example 60 A 127.0.0.9\nsend\n")
				}
				answered := make(chan error, 1)
				go func() {
					_, err := serveOne(socket, mustRing(t, key))
					answered <- err
				}()
				output, err := command.CombinedOutput()
				if err != nil {
					t.Errorf("%v\n%s", err, output)
				}
				if err := <-answered; err != nil {
					t.Errorf("the question's signature: %v", err)
				}
				text := strings.ToLower(string(output))
				if !strings.Contains(text, "noerror") || strings.Contains(text, "couldn't verify") || strings.Contains(text, "failed") ||
					strings.Contains(text, "bad") || strings.Contains(text, "warning: tsig") {
					t.Errorf("the answer was not taken:\n%s", output)
				}
			})
		}
	}
}

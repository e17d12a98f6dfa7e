// Package packets makes what clients, scanners and attackers send to a DNS
// server: one packet of every kind (Seeds), and any number of them with damage
// drawn at random (Source). It also reads packets that were kept in files
// (Read). The tests of the server and the robustness run take theirs from here.
//
// It imports nothing of this program, so that no mistake in the server's reading
// of packets is one in their making.
//
// What it promises: the same arguments give the same packets, in the same order.
// None is longer than MaxSize. Nothing in it is for anybody's use but ours: the
// names are those that it is given and names below "test.", the addresses those
// of the loopback networks.
package packets

#!/bin/sh
# What a DHCP lease sets: the address, a route whose metric follows the interface's number, the name servers.
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev "$interface"
ip addr add "$ip/${mask:-24}" dev "$interface"
[ -z "$router" ] || ip route replace default via "${router%% *}" dev "$interface" metric $((100 + $(cat "/sys/class/net/$interface/ifindex")))
[ -z "$dns" ] || for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
exit 0

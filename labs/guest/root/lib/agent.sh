# Enough of the QEMU guest agent's protocol (virtio-serial port org.qemu.guest_agent.0) for a server to work with.

serve_agent() {
  local port
  for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name" 2>/dev/null)" = org.qemu.guest_agent.0 ] || continue
    port=/dev/${port##*/}
    stty -F "$port" raw -echo 2>/dev/null
    exec 7<>"$port"
    answer_requests
  done
}

answer_requests() { # requests and answers on descriptor 7
  local line id answer
  while read -r line <&7 || sleep 1; do
    [ -n "$line" ] || continue
    id=$(echo "$line" | sed -n 's/.*"id" *: *\([0-9]*\).*/\1/p')
    answer='{}'
    case "$line" in
      *guest-sync-delimited*) printf '\377{"return": %s}\n' "$id" >&7; continue ;;
      *guest-sync*) answer=$id ;;
      *guest-ping*) ;;
      *guest-info*) answer='{"version":"0-tiny","supported_commands":[]}' ;;
      *guest-get-host-name*) answer="{\"host-name\":\"$(hostname)\"}" ;;
      *guest-network-get-interfaces*) answer=$(interfaces_json) ;;
      *guest-ssh-add-authorized-keys*) echo "$line" | add_keys ;;
      *guest-fsfreeze-status*) answer="\"$(cat /run/frozen 2>/dev/null || echo thawed)\"" ;;
      *guest-fsfreeze-freeze*) sync; fsfreeze --freeze /data 2>/dev/null && echo frozen >/run/frozen; answer=1 ;;
      *guest-fsfreeze-thaw*) fsfreeze --unfreeze /data 2>/dev/null; rm -f /run/frozen; answer=1 ;;
      *guest-shutdown*) case "$line" in *reboot*) go_down reboot ;; *) go_down poweroff ;; esac ;;
      *) printf '{"error":{"class":"CommandNotFound","desc":"not in this small agent"}}\n' >&7; continue ;;
    esac
    printf '{"return": %s}\n' "$answer" >&7
  done
}

interfaces_json() {
  ip -4 -o addr | awk '
    BEGIN { printf "[" }
    { split($4, a, "/"); getline mac < ("/sys/class/net/" $2 "/address")
      printf "%s{\"name\":\"%s\",\"hardware-address\":\"%s\",\"ip-addresses\":[{\"ip-address-type\":\"ipv4\",\"ip-address\":\"%s\",\"prefix\":%s}]}", s, $2, mac, a[1], a[2]; s = "," }
    END { printf "]" }'
}

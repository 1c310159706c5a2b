# What every part of the guest uses: saying things, addresses, going down.

say() { # words -> serial console, screen and /run/log
  local terminal
  for terminal in /dev/ttyS0 /dev/tty1; do
    [ ! -c $terminal ] || printf '%s\r\n' "$*" >$terminal
  done
  echo "$*" >>/run/log
}

await() { # tries of 50 ms, paths -> waits until one of the paths exists
  local tries=$1
  shift
  while [ "$tries" -gt 0 ] && ! ls "$@" 2>/dev/null | grep -q .; do
    usleep 50000
    tries=$((tries - 1))
  done
}

uptime_seconds() { cut -d' ' -f1 /proc/uptime; }
memory_mib() { awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo; }
addresses() {
  ip -4 -o addr show scope global 2>/dev/null | awk '{ sub("/.*", "", $4); printf "%s%s", s, $4; s = "," }'
}

go_down() { # poweroff | reboot
  say "GUEST-DOWN $1"
  sync
  umount /data 2>/dev/null
  "$1" -f
}

watch_power_button() { # the button arrives as an input event; no daemon is needed
  await 50 /dev/input/event*
  for event in /dev/input/event*; do
    case "$(cat "/sys/class/input/${event##*/}/device/name" 2>/dev/null)" in
      *ower\ ?utton*)
        ( dd if="$event" bs=24 count=1 of=/dev/null 2>/dev/null && { say GUEST-POWERBUTTON; go_down poweroff; } ) &
        ;;
    esac
  done
}

nic_up() {
  ip link set "$1" up
  udhcpc -q -n -t 4 -T 2 -A 1 -i "$1" -s /lib/udhcpc.sh >/dev/null 2>&1 || say "GUEST-NIC-NODHCP $1"
}

write_issue() {
  printf '\n  tiny demonstration guest  %s\n  address %s   memory %s MiB   cpus %s\n' \
    "$(hostname)" "$(addresses)" "$(memory_mib)" "$(nproc)" >/etc/issue
  printf '  ssh root@ (with the key from the context)   http :80\n\n' >>/etc/issue
}

start_ssh() { # keys only; the host key outlives a restart where there is a data partition
  local key=/etc/dropbear/key
  [ ! -d /data/lost+found ] || key=/data/.hostkey
  [ -s $key ] || dropbearkey -t ed25519 -f $key >/dev/null 2>&1
  dropbear -r $key -s -E 2>/dev/null
}

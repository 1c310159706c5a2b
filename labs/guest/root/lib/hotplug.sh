#!/bin/sh
# One kernel event: says what came, changed or went.
. /lib/guest.sh
case "$SUBSYSTEM/$ACTION" in
  block/add) [ "$DEVTYPE" = disk ] && say "GUEST-DISK $DEVNAME $(($(cat "/sys/class/block/$DEVNAME/size") / 2048))" ;;
  block/change) [ "$RESIZE" = 1 ] && say "GUEST-DISK $DEVNAME $(($(cat "/sys/class/block/$DEVNAME/size") / 2048))" ;;
  block/remove) [ "$DEVTYPE" = disk ] && say "GUEST-DISK-GONE $DEVNAME" ;;
  net/add) ( nic_up "$INTERFACE"; say "GUEST-NIC $INTERFACE ip=$(ip -4 -o addr show dev "$INTERFACE" | awk '{print $4}')" ) & ;;
  net/remove) say "GUEST-NIC-GONE $INTERFACE" ;;
  cpu/add) echo 1 >"/sys$DEVPATH/online" ;;
  cpu/online|cpu/remove) say "GUEST-CPU $(nproc)" ;;
  memory/add)
    [ "$(cat "/sys$DEVPATH/state")" = offline ] && echo online_movable >"/sys$DEVPATH/state"
    say "GUEST-MEM $(memory_mib)"
    ;;
  memory/remove) say "GUEST-MEM $(memory_mib)" ;;
esac
exit 0

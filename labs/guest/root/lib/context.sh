# The context: name, ssh keys and user data from NoCloud (volume "cidata"), an OpenStack config drive ("config-2"), an
# OpenNebula context ("CONTEXT") - ISO 9660 or FAT - or the metadata service at 169.254.169.254. Of cloud-config it
# understands hostname, ssh_authorized_keys and runcmd: this is a demonstration, not cloud-init.

find_context() { # -> /run/context.d with the volume's files, /run/context with its label
  local device label
  for label in cidata CIDATA config-2 CONFIG-2 CONTEXT; do
    device=$(findfs LABEL=$label 2>/dev/null) || continue
    mkdir -p /run/volume
    mount -o ro -t iso9660 "$device" /run/volume 2>/dev/null || mount -o ro -t vfat "$device" /run/volume 2>/dev/null || continue
    cp -r /run/volume /run/context.d
    umount /run/volume
    echo "$label $device" >/run/context
    return
  done
}

apply_context() {
  local dir=/run/context.d name=
  [ -s /run/context ] || return
  if [ -f $dir/meta-data ]; then # YAML "key: value", or the same as JSON
    name=$(sed -n 's/^[ {"]*local-hostname"*: *"*\([^",]*\).*/\1/p' $dir/meta-data | head -1)
    add_keys <$dir/meta-data
    cp $dir/user-data /run/user-data 2>/dev/null
  elif [ -d $dir/openstack ]; then
    name=$(sed -n 's/.*"hostname": *"\([^"]*\)".*/\1/p' $dir/openstack/latest/meta_data.json)
    add_keys <$dir/openstack/latest/meta_data.json
    cp $dir/openstack/latest/user_data /run/user-data 2>/dev/null
  elif [ -f $dir/context.sh ]; then
    ( . $dir/context.sh
      echo "${SET_HOSTNAME:-$HOSTNAME}" >/run/name
      echo "$SSH_PUBLIC_KEY" | add_keys
      if [ -n "$START_SCRIPT_BASE64" ]; then echo "$START_SCRIPT_BASE64" | base64 -d >/run/user-data
      elif [ -n "$START_SCRIPT" ]; then printf '%s\n' "$START_SCRIPT" >/run/user-data
      elif [ -n "$USER_DATA" ]; then echo "$USER_DATA" >/run/user-data
      fi )
    name=$(cat /run/name)
  fi
  [ -z "$name" ] || hostname "$name"
  read_cloud_config
}

metadata_service() {
  local base=http://169.254.169.254/latest name
  [ -n "$(addresses)" ] || return
  name=$(timeout 2 wget -q -O- $base/meta-data/local-hostname 2>/dev/null) || return
  [ -z "$name" ] || hostname "${name%%.*}"
  timeout 3 wget -q -O- $base/meta-data/public-keys/0/openssh-key 2>/dev/null | add_keys
  timeout 3 wget -q -O /run/user-data $base/user-data 2>/dev/null
  read_cloud_config
  echo "http 169.254.169.254" >/run/context
}

add_keys() { # any text -> the OpenSSH public keys in it become root's; base64 of each begins with AAAA
  mkdir -p /root/.ssh
  tr ',{}[]' '\n\n\n\n\n' |
    sed -nE "s/^(.*[^A-Za-z0-9@._-])?((ssh|ecdsa|sk)-[A-Za-z0-9@._-]+ AAAA[A-Za-z0-9+\/=]+[^\"'\\]*).*/\2/p" >>/root/.ssh/authorized_keys
  chmod 700 /root /root/.ssh
  chmod 600 /root/.ssh/authorized_keys
}

read_cloud_config() { # the part of the user data that is needed before the network
  local name
  [ -s /run/user-data ] || return
  if [ "$(head -c2 /run/user-data | xxd -p)" = 1f8b ]; then
    mv /run/user-data /run/user-data.gz
    gunzip -c /run/user-data.gz >/run/user-data
  fi
  case "$(head -1 /run/user-data)" in
    '#cloud-config'*)
      name=$(sed -n 's/^hostname: *"*\([^"]*\).*/\1/p' /run/user-data)
      [ -z "$name" ] || hostname "$name"
      grep -E '^ *- *["'\'']?(ssh|ecdsa|sk)-' /run/user-data | add_keys
      ;;
  esac
}

run_user_data() { # the last step of the boot: the script itself, or the commands of cloud-config's runcmd
  local rc line
  [ -s /run/user-data ] || return
  case "$(head -1 /run/user-data)" in
    '#!'*) cp /run/user-data /run/user-script ;;
    '#cloud-config'*) { echo '#!/bin/sh'; runcmd_lines; } >/run/user-script ;;
    *) return ;;
  esac
  chmod +x /run/user-script
  /run/user-script >/run/user-script.log 2>&1
  rc=$?
  while read -r line; do say "ud| $line"; done </run/user-script.log
  say "GUEST-USERDATA-DONE $rc"
}

runcmd_lines() { # runcmd is a list of strings, or of lists [a, b] on one line
  awk '
    /^[a-z_]+:/ { on = ($0 ~ /^runcmd:/) }
    on && /^ *- / {
      sub(/^ *- */, "")
      if ($0 ~ /^\[/) { gsub(/^\[|\]$/, ""); gsub(/, */, " ") }
      else if ($0 ~ /^".*"$/ || $0 ~ /^\047.*\047$/) $0 = substr($0, 2, length($0) - 2)
      print
    }' /run/user-data
}

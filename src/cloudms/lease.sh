#!/bin/sh
# Ends this machine when its lease does, whoever watches or not. `cms vm renew` moves the end; `cms vm protect` holds it.
#
#   cms-lease set END STAMP   write down the end (epoch seconds, 0: never) unless a later order stands, then start
#   cms-lease run             count: warn whoever is logged in 10 minutes and 1 minute before, then power off
#   cms-lease [start]         count in the background, by systemd where that runs
#
# The end is read again at every look. Where the tags (AWS) or the metadata (OpenStack) of the instance can be read, they
# say it, else the file does. What cannot be read ends nothing, and neither a start nor a jump of the clock ends anything
# within its first minute.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
self=/usr/local/sbin/cms-lease
file=/var/lib/cms/lease
pid=/run/cms-lease.pid
unit=/etc/systemd/system/cms-lease.service
wanted=/etc/systemd/system/multi-user.target.wants/cms-lease.service
each_boot=/var/lib/cloud/scripts/per-boot
metadata=http://169.254.169.254
cloud=@CLOUD@
tag=@TAG@
guard=@GUARD@
look=20

now() { date +%s; }

uptime_s() {
    read -r seconds _ </proc/uptime
    echo "${seconds%.*}"
}

number() {
    case $1 in
        '' | *[!0-9]*) echo 0 ;;
        *) echo "$1" ;;
    esac
}

# ask METHOD PATH HEADER: what the metadata service answers; fails when it does not.
ask() {
    if command -v curl >/dev/null 2>&1; then
        curl -fs -m 3 -X "$1" -H "$3" "$metadata/$2"
    else
        python3 -c 'import sys, urllib.request as u
name, value = sys.argv[3].split(": ")
print(u.urlopen(u.Request(sys.argv[2], headers={name: value}, method=sys.argv[1]), timeout=3).read().decode())' \
            "$1" "$metadata/$2" "$3" 2>/dev/null
    fi
}

tags() { ask GET "latest/meta-data/tags/instance$1" "X-aws-ec2-metadata-token: $token"; }

meta() { printf '%s' "$known" | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }

# read_metadata: as read_tags.
read_metadata() {
    known=$(ask GET openstack/latest/meta_data.json 'Accept: application/json' | tr '\n' ' ') || return 1
    case $known in *'"uuid"'*) ;; *) return 1 ;; esac
    told=0
    case $(meta "$guard") in '' | no | false | 0) ;; *) return 0 ;; esac
    told=$(meta "$tag") && told=$(number "${told%%.*}")
}

# read_tags: put the end that the tags say into `told`, 0 when they say none; fails when they cannot be read.
read_tags() {
    [ "$cloud" = openstack ] && { read_metadata; return; }
    token=$(ask PUT latest/api/token 'X-aws-ec2-metadata-token-ttl-seconds: 60') && known=$(tags '' | tr '\n' ' ') || return 1
    [ -n "$known" ] || return 1
    told=0
    case " $known " in
        *" $guard "*) case $(tags "/$guard") in '' | no | false | 0) ;; *) return 0 ;; esac ;;
    esac
    case " $known " in
        *" $tag "*) told=$(tags "/$tag") && told=$(number "${told%%.*}") ;;
    esac
}

# write END STAMP: whole or not at all.
write() {
    mkdir -p "${file%/*}"
    echo "$1 $2" >"$file.new" && mv "$file.new" "$file"
}

end() {
    until='' stamp=''
    [ -r "$file" ] && read -r until stamp <"$file"
    if [ -n "$tag" ] && read_tags; then
        [ "$told" = "$until" ] || write "$told" "$(number "$stamp")" # for when the service does not answer
        until=$told
    fi
    number "$until"
}

say() {
    echo "$1"
    if command -v wall >/dev/null 2>&1; then
        echo "$1" | wall
    else
        for terminal in /dev/pts/[0-9]*; do
            [ -w "$terminal" ] && printf '\r\n%s\r\n' "$1" >"$terminal"
        done
    fi 2>/dev/null
}

# warn SECONDS: say it once for every mark that is passed and every end.
warn() {
    if [ "$1" -le 60 ]; then mark=60; elif [ "$1" -le 600 ]; then mark=600; else return; fi
    [ "$warned" = "$until:$mark" ] && return
    warned=$until:$mark
    if [ "$1" -ge 120 ]; then left="$((($1 + 59) / 60)) minutes"; else left="$1 seconds"; fi
    name=$(hostname)
    say "The lease of this machine ends in $left; it powers off then. cms vm renew $name gives it more time."
}

power_off() {
    say 'The lease of this machine has ended; it powers off now.'
    [ -w /dev/console ] && echo 'cms: the lease has ended, powering off' >/dev/console 2>/dev/null
    shutdown -P now || poweroff
    sleep 120
    sync
    poweroff -f
}

run() {
    warned='' hold='' before=$(now) since=$(uptime_s)
    while :; do
        until=$(end) time=$(now) up=$(uptime_s)
        left=$((until - time)) jump=$((time - before - up + since))
        if [ "$until" -gt 0 ]; then
            [ "$left" -le 0 ] && { [ -z "$hold" ] || [ "$jump" -gt 60 ]; } && hold=$((up + 60))
            [ -n "$hold" ] || hold=0
            [ "$left" -le 0 ] && [ "$up" -lt "$hold" ] && left=$((hold - up))
            [ "$left" -le 0 ] && power_off
            warn "$left"
        else
            left=$look
        fi
        before=$time since=$up
        [ "$left" -gt "$look" ] && left=$look
        [ "$left" -lt 1 ] && left=1
        sleep "$left"
    done
}

running() {
    [ -r "$pid" ] && read -r other <"$pid" && kill -0 "$other" 2>/dev/null && grep -q cms-lease "/proc/$other/cmdline"
}

start() {
    if [ -d /run/systemd/system ]; then
        [ -e "$unit" ] || cat >"$unit" <<'UNIT'
[Unit]
Description=End of the lease of this machine

[Service]
ExecStart=/usr/local/sbin/cms-lease run
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
UNIT
        [ -e "$wanted" ] || systemctl -q enable cms-lease.service
        systemctl --no-block start cms-lease.service
        return
    fi
    mkdir -p "$each_boot" && ln -sf "$self" "$each_boot/cms-lease"
    running && return
    setsid "$self" run </dev/null >/dev/null 2>&1 &
    echo $! >"$pid"
}

case $1 in
    set)
        stood=''
        [ -r "$file" ] && read -r _ stood <"$file"
        [ "$(number "$stood")" -gt "$3" ] || write "$2" "$3"
        start
        ;;
    run) run ;;
    *) start ;;
esac

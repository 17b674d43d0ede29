#!/bin/sh
# Runs the tasks of an experiment on this node, whoever watches or not; `cms experiment` puts it here and talks to it.
#
#   agent ID status               start what waits while slots are free, and tell of everything
#   agent ID put <TAR             take exp/ (once) and tasks/NUMBER.ATTEMPT/, then as status
#   agent ID withdraw NAME…       give back tasks that have not begun, then as status
#   agent ID stop [NAME…]         end tasks that run (all), give back those that have not begun, then as status
#   agent ID forget NAME…         remove tasks that have ended; they are never taken again; then as status
#   agent ID tail NAME FILE FROM  what it has printed from a byte on (from 1), at most 256 KiB
#   agent ID prepare DIGEST <TAR  set this node up once, detached; agent ID log DIGEST prints how it went
#   agent ID clean                end everything of the experiment and remove it
#
# A task is begun exactly once: who makes the link `claim` has it, and the link comes with its text or not at all. What
# was claimed by a process that is gone, or under another boot, is told as ended by that. `end` is written beside and
# renamed, into room that was taken before the task began, so that a full disk does not lose it. What is to be got of a
# task that has ended stands in its folder out/: stdout, stderr, outputs/, and `missing`, the patterns that nothing matches.
umask 077
ulimit -c 0
self=$0 id=$1 verb=$2
shift 2
base=$HOME/.cms
here=$base/experiments/$id
tasks=$here/tasks
gone=$here/gone
setup='' timeout=0 slots=1 limit=16777216 grace=10
read -r boot </proc/sys/kernel/random/boot_id

configure() {
    [ -e "$here/exp/conf" ] || return 0
    while read -r key value; do
        case $key in
            setup) setup=$value ;;
            timeout) timeout=$value ;;
            slots) slots=$value ;;
            limit) limit=$value ;;
            grace) grace=$value ;;
        esac
    done <"$here/exp/conf"
}

# born PID: put when a process was started (clock ticks since boot) into `born`; fails when it is gone.
born() {
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    set -- ${line##*) }
    born=${20}
    [ "$1" != Z ] && [ "$1" != X ]
}

# alive PID BORN BOOT: whether the process that wrote this about itself still runs.
alive() { [ "$3" = "$boot" ] && born "$1" && [ "$born" = "$2" ]; }

# claim FOLDER TEXT: take what nobody else has taken.
claim() {
    { echo "$2" >"$1/.claim.$$"; } 2>/dev/null && ln "$1/.claim.$$" "$1/claim" 2>/dev/null
    taken=$?
    rm -f "$1/.claim.$$"
    return $taken
}

signal_group() { kill -s "$1" -- "-$2" 2>/dev/null || kill -s "$1" "$2" 2>/dev/null; }

uptime() {
    read -r now _ </proc/uptime
    echo "${now%.*}${now#*.}"
}

# keep FIFO FILE: write what comes out of a pipe into a file up to the limit, at once, and swallow the rest.
keep() {
    setsid sh -c '(ulimit -f "$2"; exec cat >"$1") 2>/dev/null; exec cat >/dev/null' \
        keep "$2" $(((limit + 511) / 512)) <"$1" >/dev/null 2>&1 &
}

# finish FILE TEXT: write how something ended into the room that was kept for it.
finish() {
    until printf '%-100s\n' "$2" 1<>"$1/.end" && mv "$1/.end" "$1/end"; do sleep 5; done 2>/dev/null
}

# gather FOLDER: bring the outputs of a task together.
gather() {
    mkdir -p "$1/out/outputs"
    cd "$1" || return
    ln stdout stderr out/ 2>/dev/null
    [ ! -e "$here/exp/outputs" ] || while read -r pattern; do
        some=
        IFS='
'
        for name in work/$pattern; do
            [ ! -e "$name" ] || take "$name" "out/outputs/${name#work/}"
        done
        for name in out/outputs/$pattern; do
            [ ! -e "$name" ] || some=yes
        done
        unset IFS
        [ "$some" ] || echo "$pattern" >>out/missing
    done <"$here/exp/outputs"
}

# take FROM TO: move an output, or copy it when it is, or has in it, a link.
take() {
    [ -d "${2%/*}" ] || mkdir -p "${2%/*}"
    if [ -d "$2" ]; then
        cp -rL "$1/." "$2/"
    elif [ -L "$1" ] || { [ -d "$1" ] && [ "$(find "$1" -type l | head -n 1)" ]; }; then
        cp -rL "$1" "$2"
    else
        mv "$1" "$2"
    fi
}

# begin FOLDER SECONDS SCRIPT AFTER: run a script in the folder work/ of a folder until it ends, let AFTER (a function)
# see to what it left, and write down how it ended.
begin() {
    cd "$1" || return
    printf '%-100s\n' '' >.end
    [ -d work ] || mkdir work
    mkfifo .out .err
    keep .out stdout
    out=$!
    keep .err stderr
    err=$!
    before=$(uptime)
    setsid sh -c '[ ! -e "$1" ] || . "$1"; [ ! -e ./env ] || . ./env; cd work && exec sh "$0"' \
        "$3" "$profile" </dev/null >.out 2>.err &
    group=$!
    echo "$group" >group
    [ ! -e stop ] || signal_group KILL "$group"
    watch=''
    if [ "$2" -gt 0 ]; then
        setsid sh -c 'sleep "$1"; : >late; kill -s TERM -- "-$2"; sleep "$3"; kill -s KILL -- "-$2"' \
            watch "$2" "$group" "$grace" >/dev/null 2>&1 &
        watch=$!
        echo "$watch" >watch
    fi
    wait "$group"
    code=$?
    took=$(($(uptime) - before))
    [ -z "$watch" ] || signal_group KILL "$watch"
    signal_group KILL "$group"
    (
        sleep 5
        signal_group KILL "$out"
        signal_group KILL "$err"
    ) &
    spare=$!
    wait "$out" "$err"
    kill "$spare" 2>/dev/null
    cause=-
    [ ! -e late ] || cause=timeout
    [ ! -e stop ] || cause=cancelled
    "$4" "$1"
    finish "$1" "$code $began $took $cause"
    rm -f .out .err env
}

# run NAME: run a task that this worker has claimed, among links to the inputs: each task has folders of its own.
run() {
    mkdir -p "$tasks/$1/work"
    profile=/dev/null
    [ ! -d "$here/exp/inputs" ] || cp -rs "$here/exp/inputs/." "$tasks/$1/work" 2>/dev/null
    [ -z "$setup" ] || profile=$base/setup/$setup/profile
    begin "$tasks/$1" "$timeout" "$here/exp/script" gather
}

waiting() {
    for folder in "$tasks"/*; do
        [ ! -d "$folder" ] || [ -e "$folder/claim" ] || return 0
    done
    return 1
}

drain() {
    found=yes
    while [ "$found" ]; do
        found=
        for folder in "$tasks"/*; do
            [ -d "$folder" ] && [ ! -e "$folder/claim" ] || continue
            began=$(date +%s)
            claim "$folder" "$$ $mine $boot $began" || continue
            found=yes
            run "${folder##*/}"
        done
    done
}

# work SLOT: run what waits, one after another, as the only one in this slot.
work() {
    born $$ || exit 1
    mine=$born
    slot=$here/slots/$1
    mkdir -p "$here/slots"
    echo "$$ $mine $boot" >"$slot.$$"
    while ln "$slot.$$" "$slot" 2>/dev/null; do
        drain
        rm -f "$slot"
        waiting || break # what came after the last look and before the slot was free
    done
    rm -f "$slot.$$"
}

prepared() { [ -z "$setup" ] || [ "$(state_of "$setup")" = done ]; }

kick() {
    waiting && prepared || return 0
    if ! { : >"$here/.probe"; } 2>/dev/null || ! { echo probe >"$here/.probe"; } 2>/dev/null; then
        echo "trouble nothing can be written below $here: $(df -P "$base" | tail -n 1)"
        return 0
    fi
    mkdir -p "$here/slots"
    number=1
    while [ "$number" -le "$slots" ]; do
        slot=$here/slots/$number
        if [ -e "$slot" ]; then
            text=$(cat "$slot" 2>/dev/null)
            # shellcheck disable=SC2086
            alive ${text:-0 0 0} || drop "$slot" "$text"
        fi
        [ -e "$slot" ] || setsid sh "$self" "$id" work "$number" </dev/null >/dev/null 2>&1 &
        number=$((number + 1))
    done
}

# drop SLOT TEXT: free a slot whose worker is gone, unless another one has come in meanwhile.
drop() {
    mv "$1" "$1.old.$$" 2>/dev/null || return 0
    [ "$(cat "$1.old.$$")" = "$2" ] || ln "$1.old.$$" "$1" 2>/dev/null
    rm -f "$1.old.$$"
}

# end_of FOLDER: kill what a worker that is gone has left running.
end_of() {
    for name in watch group; do
        [ -e "$1/$name" ] || continue
        read -r group <"$1/$name"
        case $(readlink "/proc/$group/cwd") in
            "$1" | "$1/work") signal_group KILL "$group" ;;
        esac
    done
}

# reap FOLDER CAUSE BEGAN: end a task whose worker is gone.
reap() {
    [ "$2" != killed ] || end_of "$1"
    gather "$1"
    echo "- $3 0 $2" >"$1/.reap.$$" && mv "$1/.reap.$$" "$1/end"
}

ended() {
    read -r code began took cause <"$1/end"
    echo "ended ${1##*/} $code $began $took $cause"
}

tell() {
    echo "cms 1 $boot $(date +%s)"
    [ -z "$setup" ] || echo "setup $setup $(state_of "$setup")"
    if [ ! -d "$here/exp" ]; then
        echo none
        echo ok
        return
    fi
    queued=
    for folder in "$tasks"/*; do
        [ -d "$folder" ] || continue
        if [ ! -e "$folder/claim" ]; then
            queued="$queued ${folder##*/}"
            continue
        fi
        read -r pid since under began <"$folder/claim"
        if [ -e "$folder/end" ]; then
            ended "$folder"
        elif [ "$pid" = withdrawn ]; then
            echo "withdrawn ${folder##*/}"
        elif alive "$pid" "$since" "$under"; then
            echo "running ${folder##*/} $began"
        else
            cause=killed
            [ "$under" = "$boot" ] || cause=restarted
            [ -e "$folder/end" ] || reap "$folder" "$cause" "$began"
            [ ! -e "$folder/end" ] || ended "$folder"
        fi
    done
    [ -z "$queued" ] || echo "queued$queued"
    echo ok
}

status() {
    kick
    tell
}

# unpacked: tell that it did not work.
unpacked() {
    echo "trouble what was sent could not be unpacked: $(df -P "$base" | tail -n 1)"
    exit 1
}

put() {
    new=$here/new.$$
    mkdir -p "$new" "$tasks" "$gone"
    if ! tar -xf - -C "$new"; then
        rm -rf "$new"
        unpacked
    fi
    [ ! -d "$new/exp" ] || [ -d "$here/exp" ] || mv "$new/exp" "$here/exp"
    for folder in "$new"/tasks/*; do
        name=${folder##*/}
        [ ! -d "$folder" ] || [ -e "$tasks/$name" ] || [ -e "$gone/$name" ] || mv "$folder" "$tasks/$name"
    done
    rm -rf "$new"
    configure
    status
}

withdraw() {
    for name in "$@"; do
        [ ! -d "$tasks/$name" ] || claim "$tasks/$name" withdrawn
    done
}

stop() {
    if [ $# -eq 0 ]; then
        for folder in "$tasks"/*; do
            [ ! -d "$folder" ] || set -- "$@" "${folder##*/}"
        done
    fi
    withdraw "$@"
    for name in "$@"; do
        [ -e "$tasks/$name/claim" ] && [ ! -e "$tasks/$name/end" ] || continue
        read -r pid since under _ <"$tasks/$name/claim"
        alive "$pid" "$since" "$under" || continue
        : >"$tasks/$name/stop"
        [ -e "$tasks/$name/group" ] || continue
        read -r group <"$tasks/$name/group"
        setsid sh -c 'kill -s TERM -- "-$1"; sleep "$2"; [ -e "$3" ] || kill -s KILL -- "-$1"' \
            stop "$group" "$grace" "$tasks/$name/end" </dev/null >/dev/null 2>&1 &
    done
}

forget() {
    mkdir -p "$gone"
    for name in "$@"; do
        [ -e "$tasks/$name/claim" ] || continue
        : >"$gone/$name"
        rm -rf "${tasks:?}/$name"
    done
}

state_of() {
    of=$base/setup/$1
    if [ -e "$of/end" ]; then
        read -r code _ <"$of/end"
        [ "$code" = 0 ] && echo done || echo "failed $code"
    elif [ -e "$of/claim" ]; then
        read -r pid since under _ <"$of/claim"
        alive "$pid" "$since" "$under" && echo running || echo none
    else
        echo none
    fi
}

prepare() {
    case $(state_of "$1") in
        running | done) return 0 ;;
    esac
    of=$base/setup/$1
    rm -rf "$of"
    mkdir -p "$of"
    tar -xf - -C "$of" || unpacked
    setsid sh "$self" "$id" setup "$1" </dev/null >/dev/null 2>&1 &
}

# setup DIGEST: carry out a set-up that nobody else carries out.
setup() {
    born $$ || exit 1
    began=$(date +%s)
    claim "$base/setup/$1" "$$ $born $boot $began" || exit 0
    profile=/dev/null
    begin "$base/setup/$1" 3600 "$base/setup/$1/script" :
    configure # tasks may have come meanwhile
    kick
}

clean() {
    for slot in "$here"/slots/*; do
        [ -e "$slot" ] || continue
        read -r pid since under <"$slot"
        ! alive "$pid" "$since" "$under" || kill -s KILL "$pid"
    done
    for folder in "$tasks"/*; do
        [ -e "$folder/claim" ] && [ -e "$folder/group" ] && [ ! -e "$folder/end" ] || continue
        read -r _ _ under _ <"$folder/claim"
        [ "$under" != "$boot" ] || end_of "$folder"
    done
    rm -rf "$here" || rm -rf "$here"
}

configure
case $verb in
    status) status ;;
    put) put ;;
    withdraw | stop | forget)
        "$verb" "$@"
        status
        ;;
    tail) tail -c "+$3" "$tasks/$1/$2" 2>/dev/null | head -c 262144 ;;
    prepare)
        prepare "$1"
        setup=$1
        tell
        ;;
    log) tail -c 4096 "$base/setup/$1/stdout" "$base/setup/$1/stderr" 2>/dev/null ;;
    work) work "$1" ;;
    setup) setup "$1" ;;
    clean) clean ;;
    *) exit 2 ;;
esac

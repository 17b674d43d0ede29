#!/bin/sh
# The licence-plate service: put in place by root, started now and at every boot, started anew when it ends.
# Where systemd runs it is a unit; elsewhere a loop that per-boot starts.
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
dir=/usr/local/lib/cms-plates
mkdir -p $dir && cd $dir || exit 1
cat >service.py <<'END-OF-SERVICE'
@SERVICE@
END-OF-SERVICE
(umask 077 && cat >settings.new) <<'END-OF-SETTINGS' && mv settings.new settings.json
@SETTINGS@
END-OF-SETTINGS
if [ -d /run/systemd/system ]; then
    cat >/etc/systemd/system/cms-plates.service <<'UNIT'
[Unit]
Description=Licence-plate service
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/python3 -I /usr/local/lib/cms-plates/service.py /usr/local/lib/cms-plates/settings.json
Restart=always
RestartSec=1
TimeoutStopSec=40

[Install]
WantedBy=multi-user.target
UNIT
    systemctl daemon-reload && systemctl -q enable cms-plates.service && systemctl --no-block restart cms-plates.service
    exit
fi
cat >keep <<'KEEP'
#!/bin/sh
# A killed service leaves nothing half done: it is started anew.
trap 'kill "$service"; wait "$service"; exit' TERM
while :; do
    /usr/bin/python3 -I /usr/local/lib/cms-plates/service.py /usr/local/lib/cms-plates/settings.json &
    service=$!
    wait $service
    sleep 0.5
done
KEEP
cat >start <<'START'
#!/bin/sh
read -r old 2>/dev/null </run/cms-plates.pid && grep -q cms-plates "/proc/$old/cmdline" 2>/dev/null && exit
setsid /usr/local/lib/cms-plates/keep </dev/null >>/var/log/cms-plates.log 2>&1 &
echo $! >/run/cms-plates.pid
START
chmod 755 keep start
boot=/var/lib/cloud/scripts/per-boot
mkdir -p $boot && ln -sf $dir/start $boot/cms-plates
sync # a machine that is switched off now has all of it at its next boot
if read -r old 2>/dev/null </run/cms-plates.pid && grep -q cms-plates "/proc/$old/cmdline" 2>/dev/null; then
    kill "$old"
    while [ -e "/proc/$old" ]; do sleep 0.1; done
fi
exec $dir/start

#!/bin/busybox sh
# The guest's init: mounts, the control channel's modules, then the agent as process 1.
export PATH=/bin HOME=/root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
# Mounts for whoever must print paths across them: a tmpfs with a folder of it bound elsewhere, and one bound on a file.
mount -t tmpfs data /mnt/data
mkdir -p /mnt/data/inner/deep
mount --bind /mnt/data/inner /mnt/bound
cp /bin/busybox /mnt/data/inner/busybox
touch /mnt/file
mount --bind /mnt/data/inner/busybox /mnt/file
for module in $(cat /modules/order); do insmod "/modules/$module"; done
ip link set lo up
ulimit -c 0
echo /bin/false > /proc/sys/kernel/core_pattern
for port in 1 2 3 4 5 6 7 8 9 10; do
  [ -e /dev/vport0p1 ] && break
  sleep 0.1
done
exec /bin/agent /dev/vport0p1

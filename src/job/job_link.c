/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast is this node's link? Fabrics first: InfiniBand and Omni-Path ports say their rate
 * in /sys/class/infiniband/DEV/ports/N/rate ("200 Gb/sec (4X HDR)"), Slingshot and Ethernet
 * in /sys/class/net/DEV/speed (Mbit/s). Virtual interfaces are left out where something real
 * is there: what they say is made up.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job/job.h"

#define PORT_ACTIVE 4 /* "4: ACTIVE" */

static double read_number(const char *path)
{
	double v = 0;
	FILE *f = fopen(path, "re");

	if (f && fscanf(f, "%lf", &v) != 1)
		v = 0;
	if (f)
		fclose(f);
	return v;
}

/* The faster of @best, whose name is in @name, and @rate of @dev. */
static double faster(double best, double rate, const char *dev, char *name)
{
	if (rate <= best)
		return best;
	snprintf(name, JOB_LINK_NAME, "%s", dev);
	return rate;
}

static double fastest_fabric(char *name)
{
	char path[600];
	struct dirent *d;
	double best = 0, rate;
	DIR *dir = opendir("/sys/class/infiniband");

	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/1/state",
			d->d_name);
		if (read_number(path) != PORT_ACTIVE)
			continue;
		snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/1/rate",
			d->d_name);
		rate = read_number(path) * 1e9 / 8;
		best = faster(best, rate, d->d_name, name);
	}
	if (dir)
		closedir(dir);
	return best;
}

static double fastest_ethernet(char *name)
{
	char path[600];
	struct dirent *d;
	double best = 0, rate;
	DIR *dir = opendir("/sys/class/net");

	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/net/%s/device", d->d_name);
		if (access(path, F_OK) < 0)
			continue;
		snprintf(path, sizeof(path), "/sys/class/net/%s/speed", d->d_name);
		rate = read_number(path) * 1e6 / 8;
		best = faster(best, rate, d->d_name, name);
	}
	if (dir)
		closedir(dir);
	return best;
}

double job_find_link_named(char name[JOB_LINK_NAME])
{
	double rate;

	name[0] = '\0';
	rate = fastest_fabric(name);
	return rate > 0 ? rate : fastest_ethernet(name);
}

double job_find_link(void)
{
	char name[JOB_LINK_NAME];

	return job_find_link_named(name);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers of a lustre.lov attribute that reading and writing it share. */
#ifndef PFS_LOV_H
#define PFS_LOV_H

#define MAGIC_V1	0x0bd10bd0u
#define MAGIC_V3	0x0bd30bd0u
#define MAGIC_SPECIFIC	0x0bd50bd0u /* V3 with a list of OSTs: in requests only */
#define MAGIC_COMPOSITE 0x0bd60bd0u
#define MAGIC_FOREIGN	0x0bd70bd0u

#define COMPONENT_LEN 48
#define FLAG_INIT     0x10u /* of a component: it has objects */

#define ENTRY_LEN   24
#define HEAD_LEN    32 /* V1 and composite */
#define HEAD_V3_LEN 48

#define PATTERN_RAID0	    0x1u
#define PATTERN_MDT	    0x100u	/* data on the metadata target */
#define PATTERN_OVERSTRIPED 0x200u	/* several objects on one OST; else as RAID 0 */
#define PATTERN_RELEASED    0x80000000u /* archived by HSM, the objects are gone */

#endif

# SPDX-License-Identifier: GPL-2.0-only
#
# The devices of ports, for --dev.

END {
	for (i = 1; i <= NP; i++) if (PORT_DEV[i] != "" && !(PORT_DEV[i] in TOLD)) {
		TOLD[PORT_DEV[i]]
		printf " %s", PORT_DEV[i]
	}
}

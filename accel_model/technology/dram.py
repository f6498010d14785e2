"""DRAM by kind: energy of a byte, standing power and bandwidth of a channel, and the times of its
rows, each with its source.

LPDDR4 and HBM2: the figures of the package hwcomponents-cacti (MIT), 8 and 6.25 pJ a bit, reads
and writes alike. DDR4: from a data sheet's currents as Micron's technical note TN-40-07 has it,
a byte read ``(IDD4R - IDD3N) VDD / bandwidth`` and the row's share of an activation, rows being
read whole; the interface's termination is not in it. The currents of an LPDDR4 part give 67.8 pJ a
byte read and 40.3 written, interface included: 64 lies between.
"""

from __future__ import annotations

from dataclasses import dataclass

from zeroskip.accel_model.technology.node import TechnologyError


@dataclass(frozen=True)
class DramDevice:
    """One kind of DRAM.

    read_pj, write_pj: picojoules of a byte. background_mw: milliwatts of a channel that is open
    and idle. channel_gbs: gigabytes a second of a channel.
    """

    read_pj: float
    write_pj: float
    background_mw: float
    channel_gbs: float

    def channels(self, gigabytes_a_second: float) -> int:
        """Channels that the bandwidth needs."""
        return max(1, -int(-gigabytes_a_second // self.channel_gbs))


@dataclass(frozen=True)
class _Currents:
    """A data sheet's currents (mA), supplies (V), times (ns) and geometry of one device."""

    idd0: float
    idd2n: float
    idd3n: float
    idd4r: float
    idd4w: float
    ipp0: float
    vdd: float
    vpp: float
    t_rc: float
    t_ras: float
    page_bytes: int
    gbs: float

    def dram(self, devices: int) -> DramDevice:
        """So many devices side by side, rows read whole."""
        activation = (
            (self.idd0 * self.t_rc - self.idd3n * self.t_ras)
            - self.idd2n * (self.t_rc - self.t_ras)
        ) * self.vdd + self.ipp0 * self.t_rc * self.vpp
        row = activation / self.page_bytes
        return DramDevice(
            read_pj=(self.idd4r - self.idd3n) * self.vdd / self.gbs + row,
            write_pj=(self.idd4w - self.idd3n) * self.vdd / self.gbs + row,
            background_mw=devices * self.idd3n * self.vdd,
            channel_gbs=devices * self.gbs,
        )


# Micron 4 Gb DDR4-2400, 8 bits wide, revision A (as in DRAMPower's memspecs); eight make a channel.
_DDR4 = _Currents(
    idd0=60.75, idd2n=38.25, idd3n=44.0, idd4r=184.5, idd4w=168.75, ipp0=4.05, vdd=1.2, vpp=2.5,
    t_rc=55 / 1.2, t_ras=39 / 1.2, page_bytes=1024, gbs=2.4,
)  # fmt: skip

DRAM_KINDS: dict[str, DramDevice] = {
    # 8 pJ a bit; 3200 MT/s x 16 bits; standing: IDD3N of Micron's 6 Gb part, 2.25 mA at 1.8 V and
    # 30.75 mA at 1.1 V (as in DRAMPower's memspecs)
    "lpddr4": DramDevice(64.0, 64.0, 2.25 * 1.8 + 30.75 * 1.1, 6.4),
    "ddr4": _DDR4.dram(8),
    # 6.25 pJ a bit, power over bandwidth, standing power in it; 2 Gb/s x 128 bits
    "hbm2": DramDevice(50.0, 50.0, 0.0, 32.0),
}


def dram(kind: str) -> DramDevice:
    """The figures of a kind of DRAM; TechnologyError if there are none."""
    if kind not in DRAM_KINDS:
        raise TechnologyError(
            f"there are no figures for DRAM {kind[:50]!r}; it is one of {', '.join(DRAM_KINDS)}"
        )
    return DRAM_KINDS[kind]


# What ``[dram.timing]`` of a target takes from a kind that it names: of one channel. Times in ns,
# of the data sheets of the devices above (as in DRAMPower's memspecs, cycles x clock), which are
# JEDEC's of the speed grade. trrd_ns is the longer of tRRD (DDR4: tRRD_L) and a quarter of tFAW.
DRAM_TIMINGS: dict[str, dict[str, float]] = {
    # JESD209-4: 8 banks, 2 KiB pages; tRCD, tRPpb, tRAS, tRRD (4 x tRRD = tFAW), tWR, tRFCab of 6
    # and 8 Gb, tREFI
    "lpddr4-3200": {
        "page_bytes": 2048, "banks": 8, "trcd_ns": 18.0, "trp_ns": 18.0, "tras_ns": 42.0,
        "trrd_ns": 10.0, "twr_ns": 18.0, "trfc_ns": 280.0, "trefi_ns": 3904.0,
    },
    # JESD79-4: 4 groups of 4 banks, 8 devices of 1 KiB pages; 16-16-16 clocks of 1/1.2 ns, tRAS 39,
    # tFAW 26, tWR 18; tRFC of 4 Gb; tREFI up to 85 degrees
    "ddr4-2400": {
        "page_bytes": 8192, "banks": 16, "trcd_ns": 13.33, "trp_ns": 13.33, "tras_ns": 32.5,
        "trrd_ns": 5.42, "twr_ns": 15.0, "trfc_ns": 260.0, "trefi_ns": 7800.0,
    },
}  # fmt: skip

; The load unit: everything that comes from DRAM comes through it.
;
;   zeroskip run examples/assembly/load.asm --input x.npz --output y.npz
;
; x is a 3-channel image of 4 x 4 pixels. y has 2 channels: y0 = x0 + x1 + x2, y1 = x0 - x2,
; limited to int8. Three in-order units run at the same time, so whoever needs something waits for a
; token from whoever makes it.

.target dense256
.input  x int8 3x4x4 0x200
.output y int8 2x4x4 0x280

; One filter is one stream of 4-byte words: {u16 output channel, u16 words}, then its weights.
.u16 0x000   0 2                        ; filter 0: a header and one word of weights
.i8  0x004   1 1 1 0
.u16 0x008   1 2                        ; filter 1
.i8  0x00c   1 0 -1 0

; The parameters of 16 output channels are 9 rows of 16 bytes: bias and multiplier as int32, shift as
; a byte. (v * 2 + 1) >> 1 is v. Channels 2..15 do not exist here; their shift must still be legal.
.i32 0x040   0 0 0 0  0 0 0 0  0 0 0 0  0 0 0 0
.i32 0x080   2 2 2 2  2 2 2 2  2 2 2 2  2 2 2 2
.u8  0x0c0   1 1 1 1  1 1 1 1  1 1 1 1  1 1 1 1

; loadweights deals the streams to the lanes' banks: stream n to lane n, from row wgt on.
loadweights wgt=0 dram=0 size=16 mode=0
loadparams par=0 dram=0x40 rows=9

; loadshape says how a tile lies on both sides: in DRAM a pixel takes 3 bytes and an image row 12; in
; ACT every pixel is a row of 16 bytes, of which 3 are written here, and an image row is 4 of them.
loadshape dram_pixel=3 dram_row=12 dram_block=0 act_row=4 act_block=0
load act=0 dram=0x200 width=4 height=4 blocks=1 bytes=3 lane=0 post=compute

; The rest is compute.asm's and store.asm's subject.
kernel rows=1 cols=1 row_stride=1 col_stride=1 row_dilation=1 col_dilation=1 wait=load
input act=0 row=4 block=16 zero_point=0 unsigned=0
extent height=4 width=4 top=0 left=0
output act=16 row=4 block=16 height=4 width=4 zero_point=0 low=-128 high=127 unsigned=0
conv wgt=0 par=0 acc=0 filters=2 channels=3 mode=0 first=1 last=1 residual=0 post=store
storeshape dram_pixel=2 dram_row=8 dram_block=0 act_row=4 act_block=0 wait=compute
store act=16 dram=0x280 width=4 height=4 blocks=1 bytes=2 lane=0

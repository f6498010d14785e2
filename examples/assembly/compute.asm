; The compute unit: registers say what to work on, then one instruction works.
;
;   zeroskip run examples/assembly/compute.asm --input x.npz --output y.npz
;
; x has 16 channels of 4 x 4 pixels. All windows are 2 x 2 with a stride of 2, so every result has
; 2 x 2 pixels:
;
;   best = maxpool(x)      mean = avgpool(x)      total = clip(best + mean)
;   product = the same of best * mean, through a table that makes what is negative 0
;   edge = depthwise(x), weights 1 -1 1 -1 in every channel
;   y    = a 1 x 1 convolution of total: channel 0 minus channel 2, by a pattern-pruned kernel

.target pattern256
.input  x     int8 16x4x4 0x400
.output total int8 16x2x2 0x500
.output edge  int8 16x2x2 0x540
.output y     int8 1x2x2  0x580
.output product int8 16x2x2 0x5c0

; Parameters of 16 channels for conv and depthwise: no bias, (v * 2 + 1) >> 1 = v.
.i32 0x000   0 0 0 0  0 0 0 0  0 0 0 0  0 0 0 0
.i32 0x040   2 2 2 2  2 2 2 2  2 2 2 2  2 2 2 2
.u8  0x080   1 1 1 1  1 1 1 1  1 1 1 1  1 1 1 1
; PAR row 9, of avgpool: multiplier 1, shift 2: a quarter of the sum of four, rounded.
.i32 0x090   1 2 0 0
; PAR row 10, of add and multiply: both multipliers 2, shift 1.
.i32 0x0a0   2 2 1 0
; PAR rows 11 and 12: the table of patterns. A 1 x 1 kernel has one tap and one pattern: tap 0.
.u16 0x0b0   1 0 0 0  0 0 0 0
.u16 0x0c0   0 0 0 0  0 0 0 0

; Depthwise weights: a dense stream for each channel, header {channel, 2 words} and four taps.
.u32 0x100   0x20000 0xff01ff01  0x20001 0xff01ff01  0x20002 0xff01ff01  0x20003 0xff01ff01
.u32 0x120   0x20004 0xff01ff01  0x20005 0xff01ff01  0x20006 0xff01ff01  0x20007 0xff01ff01
.u32 0x140   0x20008 0xff01ff01  0x20009 0xff01ff01  0x2000a 0xff01ff01  0x2000b 0xff01ff01
.u32 0x160   0x2000c 0xff01ff01  0x2000d 0xff01ff01  0x2000e 0xff01ff01  0x2000f 0xff01ff01
; The filter of y in the pattern format: header {0, 2 words}; connectivity bits 0 and 2 of the 16
; channels; no pattern numbers (there is one pattern); the two weights 1 and -1.
.u32 0x180   0x20000 0xff010005

; The table of results, PAR rows 13 to 28: for each byte what is written in its place. Bytes of 128 and
; more are negative numbers.
.u8  0x200   0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
.u8  0x210   16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
.u8  0x220   32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47
.u8  0x230   48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
.u8  0x240   64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79
.u8  0x250   80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95
.u8  0x260   96 97 98 99 100 101 102 103 104 105 106 107 108 109 110 111
.u8  0x270   112 113 114 115 116 117 118 119 120 121 122 123 124 125 126 127
.u8  0x280   0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
.u8  0x290   0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
.u8  0x2a0   0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
.u8  0x2b0   0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
.u8  0x2c0   0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
.u8  0x2d0   0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
.u8  0x2e0   0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
.u8  0x2f0   0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0

loadparams par=0 dram=0 rows=13
loadparams par=13 dram=0x200 rows=16
loadweights wgt=0 dram=0x100 size=128 mode=0      ; 16 streams in lanes 0..15, WGT rows 0 and 1
loadweights wgt=2 dram=0x180 size=8 mode=0        ; 1 stream in lane 0, WGT rows 2 and 3
loadshape dram_pixel=16 dram_row=64 dram_block=0 act_row=4 act_block=0
load act=0 dram=0x400 width=4 height=4 blocks=1 bytes=16 lane=0 post=compute

; kernel: the window. input: where x is in ACT, and which pixel tap 0 of output 0 reads.
kernel rows=2 cols=2 row_stride=2 col_stride=2 row_dilation=1 col_dilation=1 wait=load
input act=0 row=4 block=16 zero_point=0 unsigned=0
extent height=4 width=4 top=0 left=0

; output: where the result goes, and how it is made 8 bits wide.
output act=16 row=2 block=4 height=2 width=2 zero_point=0 low=-128 high=127 unsigned=0
maxpool channels=16
output act=20 row=2 block=4 height=2 width=2 zero_point=0 low=-128 high=127 unsigned=0
avgpool channels=16 par=9
output act=28 row=2 block=4 height=2 width=2 zero_point=0 low=-128 high=127 unsigned=0
depthwise wgt=0 par=0 channels=16 residual=0

; add: the input tile plus the operand tile. Its window is one pixel.
kernel rows=1 cols=1 row_stride=1 col_stride=1 row_dilation=1 col_dilation=1
input act=16 row=2 block=4 zero_point=0 unsigned=0
extent height=2 width=2 top=0 left=0
operand act=20 row=2 block=4 zero_point=0 unsigned=0 par=10
output act=24 row=2 block=4 height=2 width=2 zero_point=0 low=-128 high=127 unsigned=0
add channels=16

; multiply: the same two tiles, and what the table holds for each product.
lookup par=13
output act=36 row=2 block=4 height=2 width=2 zero_point=0 low=-128 high=127 unsigned=0 lookup=1
multiply channels=16

; conv: patterns are looked up in the table that `patterns` names.
table par=11 rows=2 argument=0
input act=24 row=2 block=4 zero_point=0 unsigned=0
extent height=2 width=2 top=0 left=0
output act=32 row=2 block=4 height=2 width=2 zero_point=0 low=-128 high=127 unsigned=0
conv wgt=2 par=0 acc=0 filters=1 channels=16 mode=0 first=1 last=1 residual=0 post=store

storeshape dram_pixel=16 dram_row=32 dram_block=0 act_row=2 act_block=0 wait=compute
store act=24 dram=0x500 width=2 height=2 blocks=1 bytes=16 lane=0
store act=28 dram=0x540 width=2 height=2 blocks=1 bytes=16 lane=0
store act=36 dram=0x5c0 width=2 height=2 blocks=1 bytes=16 lane=0
storeshape dram_pixel=1 dram_row=2 dram_block=0 act_row=2 act_block=0
store act=32 dram=0x580 width=2 height=2 blocks=1 bytes=1 lane=0

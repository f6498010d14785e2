; The store unit: it writes tiles of ACT to DRAM, and nothing else does.
;
;   zeroskip run examples/assembly/store.asm --input x.npz --output y.npz
;
; x has 16 channels of 4 x 6 pixels. Nothing is computed: three stores take other parts of the tile.
;
;   same  is x again
;   inner is the 2 x 3 pixels in its middle
;   pairs has channels 4..7 of x first, then channels 0..3

.target dense256
.input  x     int8 16x4x6 0x000
.output same  int8 16x4x6 0x180
.output inner int8 16x2x3 0x300
.output pairs int8 8x4x6  0x380

loadshape dram_pixel=16 dram_row=96 dram_block=0 act_row=6 act_block=0
load act=0 dram=0 width=6 height=4 blocks=1 bytes=16 lane=0 post=store

; A whole tile. storeshape is loadshape the other way round; it holds for all stores that follow.
storeshape dram_pixel=16 dram_row=96 dram_block=0 act_row=6 act_block=0 wait=load
store act=0 dram=0x180 width=6 height=4 blocks=1 bytes=16 lane=0

; A part: begin at row 1, column 2 of the tile, which is ACT row 8; the rows stay 6 apart in ACT but
; lie close together in DRAM.
storeshape dram_pixel=16 dram_row=48 dram_block=0 act_row=6 act_block=0
store act=8 dram=0x300 width=3 height=2 blocks=1 bytes=16 lane=0

; Parts of pixels: `bytes` of each ACT row from byte `lane` on. Here a pixel takes 8 bytes in DRAM.
; This is how a concatenation is written whose parts do not begin at a block of 16 channels.
storeshape dram_pixel=8 dram_row=48 dram_block=0 act_row=6 act_block=0
store act=0 dram=0x380 width=6 height=4 blocks=1 bytes=4 lane=4
store act=0 dram=0x384 width=6 height=4 blocks=1 bytes=4 lane=0

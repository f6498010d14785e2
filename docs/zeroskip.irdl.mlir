// The dialect of `zeroskip compile --emit=mlir`, made from
// accel_model/isa/instructions.py by compiler/mlir/dialect.py; a test keeps it so.
// mlir-opt --irdl-file=zeroskip.irdl.mlir program.mlir
irdl.dialect @zeroskip {
  irdl.type @load_to_compute {}
  irdl.type @load_to_store {}
  irdl.type @compute_to_load {}
  irdl.type @compute_to_store {}
  irdl.type @store_to_load {}
  irdl.type @store_to_compute {}

  irdl.operation @loadshape {
    %dram_pixel = irdl.base "#builtin.integer"
    %dram_row = irdl.base "#builtin.integer"
    %dram_block = irdl.base "#builtin.integer"
    %act_row = irdl.base "#builtin.integer"
    %act_block = irdl.base "#builtin.integer"
    irdl.attributes {
      "dram_pixel" = %dram_pixel,
      "dram_row" = %dram_row,
      "dram_block" = %dram_block,
      "act_row" = %act_row,
      "act_block" = %act_block
    }
    %from_compute = irdl.base @zeroskip::@compute_to_load
    %from_store = irdl.base @zeroskip::@store_to_load
    irdl.operands(from_compute: optional %from_compute, from_store: optional %from_store)
    %to_compute = irdl.base @zeroskip::@load_to_compute
    %to_store = irdl.base @zeroskip::@load_to_store
    irdl.results(to_compute: optional %to_compute, to_store: optional %to_store)
  }

  irdl.operation @load {
    %act = irdl.base "#builtin.integer"
    %dram = irdl.base "#builtin.integer"
    %width = irdl.base "#builtin.integer"
    %height = irdl.base "#builtin.integer"
    %blocks = irdl.base "#builtin.integer"
    %bytes_0 = irdl.is 1 : ui5
    %bytes_1 = irdl.is 2 : ui5
    %bytes_2 = irdl.is 3 : ui5
    %bytes_3 = irdl.is 4 : ui5
    %bytes_4 = irdl.is 5 : ui5
    %bytes_5 = irdl.is 6 : ui5
    %bytes_6 = irdl.is 7 : ui5
    %bytes_7 = irdl.is 8 : ui5
    %bytes_8 = irdl.is 9 : ui5
    %bytes_9 = irdl.is 10 : ui5
    %bytes_10 = irdl.is 11 : ui5
    %bytes_11 = irdl.is 12 : ui5
    %bytes_12 = irdl.is 13 : ui5
    %bytes_13 = irdl.is 14 : ui5
    %bytes_14 = irdl.is 15 : ui5
    %bytes_15 = irdl.is 16 : ui5
    %bytes = irdl.any_of(%bytes_0, %bytes_1, %bytes_2, %bytes_3, %bytes_4, %bytes_5, %bytes_6, %bytes_7, %bytes_8, %bytes_9, %bytes_10, %bytes_11, %bytes_12, %bytes_13, %bytes_14, %bytes_15)
    %lane_0 = irdl.is 0 : ui4
    %lane_1 = irdl.is 1 : ui4
    %lane_2 = irdl.is 2 : ui4
    %lane_3 = irdl.is 3 : ui4
    %lane_4 = irdl.is 4 : ui4
    %lane_5 = irdl.is 5 : ui4
    %lane_6 = irdl.is 6 : ui4
    %lane_7 = irdl.is 7 : ui4
    %lane_8 = irdl.is 8 : ui4
    %lane_9 = irdl.is 9 : ui4
    %lane_10 = irdl.is 10 : ui4
    %lane_11 = irdl.is 11 : ui4
    %lane_12 = irdl.is 12 : ui4
    %lane_13 = irdl.is 13 : ui4
    %lane_14 = irdl.is 14 : ui4
    %lane_15 = irdl.is 15 : ui4
    %lane = irdl.any_of(%lane_0, %lane_1, %lane_2, %lane_3, %lane_4, %lane_5, %lane_6, %lane_7, %lane_8, %lane_9, %lane_10, %lane_11, %lane_12, %lane_13, %lane_14, %lane_15)
    irdl.attributes {
      "act" = %act,
      "dram" = %dram,
      "width" = %width,
      "height" = %height,
      "blocks" = %blocks,
      "bytes" = %bytes,
      "lane" = %lane
    }
    %from_compute = irdl.base @zeroskip::@compute_to_load
    %from_store = irdl.base @zeroskip::@store_to_load
    irdl.operands(from_compute: optional %from_compute, from_store: optional %from_store)
    %to_compute = irdl.base @zeroskip::@load_to_compute
    %to_store = irdl.base @zeroskip::@load_to_store
    irdl.results(to_compute: optional %to_compute, to_store: optional %to_store)
  }

  irdl.operation @loadweights {
    %wgt = irdl.base "#builtin.integer"
    %dram = irdl.base "#builtin.integer"
    %size = irdl.base "#builtin.integer"
    %mode_0 = irdl.is 0 : ui4
    %mode_1 = irdl.is 1 : ui4
    %mode_2 = irdl.is 2 : ui4
    %mode_3 = irdl.is 3 : ui4
    %mode_4 = irdl.is 4 : ui4
    %mode_5 = irdl.is 5 : ui4
    %mode_6 = irdl.is 6 : ui4
    %mode_7 = irdl.is 7 : ui4
    %mode_8 = irdl.is 8 : ui4
    %mode_9 = irdl.is 9 : ui4
    %mode_10 = irdl.is 10 : ui4
    %mode_11 = irdl.is 11 : ui4
    %mode_12 = irdl.is 12 : ui4
    %mode_13 = irdl.is 13 : ui4
    %mode_14 = irdl.is 14 : ui4
    %mode_15 = irdl.is 15 : ui4
    %mode = irdl.any_of(%mode_0, %mode_1, %mode_2, %mode_3, %mode_4, %mode_5, %mode_6, %mode_7, %mode_8, %mode_9, %mode_10, %mode_11, %mode_12, %mode_13, %mode_14, %mode_15)
    irdl.attributes {
      "wgt" = %wgt,
      "dram" = %dram,
      "size" = %size,
      "mode" = %mode
    }
    %from_compute = irdl.base @zeroskip::@compute_to_load
    %from_store = irdl.base @zeroskip::@store_to_load
    irdl.operands(from_compute: optional %from_compute, from_store: optional %from_store)
    %to_compute = irdl.base @zeroskip::@load_to_compute
    %to_store = irdl.base @zeroskip::@load_to_store
    irdl.results(to_compute: optional %to_compute, to_store: optional %to_store)
  }

  irdl.operation @loadparams {
    %par = irdl.base "#builtin.integer"
    %dram = irdl.base "#builtin.integer"
    %rows = irdl.base "#builtin.integer"
    irdl.attributes {
      "par" = %par,
      "dram" = %dram,
      "rows" = %rows
    }
    %from_compute = irdl.base @zeroskip::@compute_to_load
    %from_store = irdl.base @zeroskip::@store_to_load
    irdl.operands(from_compute: optional %from_compute, from_store: optional %from_store)
    %to_compute = irdl.base @zeroskip::@load_to_compute
    %to_store = irdl.base @zeroskip::@load_to_store
    irdl.results(to_compute: optional %to_compute, to_store: optional %to_store)
  }

  irdl.operation @kernel {
    %rows = irdl.base "#builtin.integer"
    %cols = irdl.base "#builtin.integer"
    %row_stride = irdl.base "#builtin.integer"
    %col_stride = irdl.base "#builtin.integer"
    %row_dilation = irdl.base "#builtin.integer"
    %col_dilation = irdl.base "#builtin.integer"
    irdl.attributes {
      "rows" = %rows,
      "cols" = %cols,
      "row_stride" = %row_stride,
      "col_stride" = %col_stride,
      "row_dilation" = %row_dilation,
      "col_dilation" = %col_dilation
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @input {
    %act = irdl.base "#builtin.integer"
    %row = irdl.base "#builtin.integer"
    %block = irdl.base "#builtin.integer"
    %zero_point = irdl.base "#builtin.integer"
    %unsigned_0 = irdl.is 0 : ui1
    %unsigned_1 = irdl.is 1 : ui1
    %unsigned = irdl.any_of(%unsigned_0, %unsigned_1)
    irdl.attributes {
      "act" = %act,
      "row" = %row,
      "block" = %block,
      "zero_point" = %zero_point,
      "unsigned" = %unsigned
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @output {
    %act = irdl.base "#builtin.integer"
    %row = irdl.base "#builtin.integer"
    %block = irdl.base "#builtin.integer"
    %height = irdl.base "#builtin.integer"
    %width = irdl.base "#builtin.integer"
    %zero_point = irdl.base "#builtin.integer"
    %low = irdl.base "#builtin.integer"
    %high = irdl.base "#builtin.integer"
    %unsigned_0 = irdl.is 0 : ui1
    %unsigned_1 = irdl.is 1 : ui1
    %unsigned = irdl.any_of(%unsigned_0, %unsigned_1)
    %lookup_0 = irdl.is 0 : ui1
    %lookup_1 = irdl.is 1 : ui1
    %lookup = irdl.any_of(%lookup_0, %lookup_1)
    irdl.attributes {
      "act" = %act,
      "row" = %row,
      "block" = %block,
      "height" = %height,
      "width" = %width,
      "zero_point" = %zero_point,
      "low" = %low,
      "high" = %high,
      "unsigned" = %unsigned,
      "lookup" = %lookup
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @operand {
    %act = irdl.base "#builtin.integer"
    %row = irdl.base "#builtin.integer"
    %block = irdl.base "#builtin.integer"
    %zero_point = irdl.base "#builtin.integer"
    %unsigned_0 = irdl.is 0 : ui1
    %unsigned_1 = irdl.is 1 : ui1
    %unsigned = irdl.any_of(%unsigned_0, %unsigned_1)
    %par = irdl.base "#builtin.integer"
    %mid_zero_point = irdl.base "#builtin.integer"
    %mid_low = irdl.base "#builtin.integer"
    %mid_high = irdl.base "#builtin.integer"
    %step_0 = irdl.is 0 : ui1
    %step_1 = irdl.is 1 : ui1
    %step = irdl.any_of(%step_0, %step_1)
    %spread_0 = irdl.is 0 : ui1
    %spread_1 = irdl.is 1 : ui1
    %spread = irdl.any_of(%spread_0, %spread_1)
    %mid_lookup_0 = irdl.is 0 : ui2
    %mid_lookup_1 = irdl.is 1 : ui2
    %mid_lookup_2 = irdl.is 2 : ui2
    %mid_lookup = irdl.any_of(%mid_lookup_0, %mid_lookup_1, %mid_lookup_2)
    irdl.attributes {
      "act" = %act,
      "row" = %row,
      "block" = %block,
      "zero_point" = %zero_point,
      "unsigned" = %unsigned,
      "par" = %par,
      "mid_zero_point" = %mid_zero_point,
      "mid_low" = %mid_low,
      "mid_high" = %mid_high,
      "step" = %step,
      "spread" = %spread,
      "mid_lookup" = %mid_lookup
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @table {
    %par = irdl.base "#builtin.integer"
    %rows = irdl.base "#builtin.integer"
    %argument = irdl.base "#builtin.integer"
    irdl.attributes {
      "par" = %par,
      "rows" = %rows,
      "argument" = %argument
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @extent {
    %height = irdl.base "#builtin.integer"
    %width = irdl.base "#builtin.integer"
    %top = irdl.base "#builtin.integer"
    %left = irdl.base "#builtin.integer"
    irdl.attributes {
      "height" = %height,
      "width" = %width,
      "top" = %top,
      "left" = %left
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @lookup {
    %par = irdl.base "#builtin.integer"
    irdl.attributes {
      "par" = %par
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @limits {
    %low = irdl.base "#builtin.integer"
    %high = irdl.base "#builtin.integer"
    %mid_low = irdl.base "#builtin.integer"
    %mid_high = irdl.base "#builtin.integer"
    irdl.attributes {
      "low" = %low,
      "high" = %high,
      "mid_low" = %mid_low,
      "mid_high" = %mid_high
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @conv {
    %wgt = irdl.base "#builtin.integer"
    %par = irdl.base "#builtin.integer"
    %acc = irdl.base "#builtin.integer"
    %filters = irdl.base "#builtin.integer"
    %channels = irdl.base "#builtin.integer"
    %mode_0 = irdl.is 0 : ui4
    %mode_1 = irdl.is 1 : ui4
    %mode_2 = irdl.is 2 : ui4
    %mode_3 = irdl.is 3 : ui4
    %mode_4 = irdl.is 4 : ui4
    %mode_5 = irdl.is 5 : ui4
    %mode_6 = irdl.is 6 : ui4
    %mode_7 = irdl.is 7 : ui4
    %mode_8 = irdl.is 8 : ui4
    %mode_9 = irdl.is 9 : ui4
    %mode_10 = irdl.is 10 : ui4
    %mode_11 = irdl.is 11 : ui4
    %mode_12 = irdl.is 12 : ui4
    %mode_13 = irdl.is 13 : ui4
    %mode_14 = irdl.is 14 : ui4
    %mode_15 = irdl.is 15 : ui4
    %mode = irdl.any_of(%mode_0, %mode_1, %mode_2, %mode_3, %mode_4, %mode_5, %mode_6, %mode_7, %mode_8, %mode_9, %mode_10, %mode_11, %mode_12, %mode_13, %mode_14, %mode_15)
    %first_0 = irdl.is 0 : ui1
    %first_1 = irdl.is 1 : ui1
    %first = irdl.any_of(%first_0, %first_1)
    %last_0 = irdl.is 0 : ui1
    %last_1 = irdl.is 1 : ui1
    %last = irdl.any_of(%last_0, %last_1)
    %residual_0 = irdl.is 0 : ui1
    %residual_1 = irdl.is 1 : ui1
    %residual = irdl.any_of(%residual_0, %residual_1)
    irdl.attributes {
      "wgt" = %wgt,
      "par" = %par,
      "acc" = %acc,
      "filters" = %filters,
      "channels" = %channels,
      "mode" = %mode,
      "first" = %first,
      "last" = %last,
      "residual" = %residual
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @depthwise {
    %wgt = irdl.base "#builtin.integer"
    %par = irdl.base "#builtin.integer"
    %channels = irdl.base "#builtin.integer"
    %residual_0 = irdl.is 0 : ui1
    %residual_1 = irdl.is 1 : ui1
    %residual = irdl.any_of(%residual_0, %residual_1)
    irdl.attributes {
      "wgt" = %wgt,
      "par" = %par,
      "channels" = %channels,
      "residual" = %residual
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @maxpool {
    %channels = irdl.base "#builtin.integer"
    irdl.attributes {
      "channels" = %channels
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @avgpool {
    %channels = irdl.base "#builtin.integer"
    %par = irdl.base "#builtin.integer"
    irdl.attributes {
      "channels" = %channels,
      "par" = %par
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @add {
    %channels = irdl.base "#builtin.integer"
    irdl.attributes {
      "channels" = %channels
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @multiply {
    %channels = irdl.base "#builtin.integer"
    irdl.attributes {
      "channels" = %channels
    }
    %from_load = irdl.base @zeroskip::@load_to_compute
    %from_store = irdl.base @zeroskip::@store_to_compute
    irdl.operands(from_load: optional %from_load, from_store: optional %from_store)
    %to_load = irdl.base @zeroskip::@compute_to_load
    %to_store = irdl.base @zeroskip::@compute_to_store
    irdl.results(to_load: optional %to_load, to_store: optional %to_store)
  }

  irdl.operation @storeshape {
    %dram_pixel = irdl.base "#builtin.integer"
    %dram_row = irdl.base "#builtin.integer"
    %dram_block = irdl.base "#builtin.integer"
    %act_row = irdl.base "#builtin.integer"
    %act_block = irdl.base "#builtin.integer"
    irdl.attributes {
      "dram_pixel" = %dram_pixel,
      "dram_row" = %dram_row,
      "dram_block" = %dram_block,
      "act_row" = %act_row,
      "act_block" = %act_block
    }
    %from_load = irdl.base @zeroskip::@load_to_store
    %from_compute = irdl.base @zeroskip::@compute_to_store
    irdl.operands(from_load: optional %from_load, from_compute: optional %from_compute)
    %to_load = irdl.base @zeroskip::@store_to_load
    %to_compute = irdl.base @zeroskip::@store_to_compute
    irdl.results(to_load: optional %to_load, to_compute: optional %to_compute)
  }

  irdl.operation @store {
    %act = irdl.base "#builtin.integer"
    %dram = irdl.base "#builtin.integer"
    %width = irdl.base "#builtin.integer"
    %height = irdl.base "#builtin.integer"
    %blocks = irdl.base "#builtin.integer"
    %bytes_0 = irdl.is 1 : ui5
    %bytes_1 = irdl.is 2 : ui5
    %bytes_2 = irdl.is 3 : ui5
    %bytes_3 = irdl.is 4 : ui5
    %bytes_4 = irdl.is 5 : ui5
    %bytes_5 = irdl.is 6 : ui5
    %bytes_6 = irdl.is 7 : ui5
    %bytes_7 = irdl.is 8 : ui5
    %bytes_8 = irdl.is 9 : ui5
    %bytes_9 = irdl.is 10 : ui5
    %bytes_10 = irdl.is 11 : ui5
    %bytes_11 = irdl.is 12 : ui5
    %bytes_12 = irdl.is 13 : ui5
    %bytes_13 = irdl.is 14 : ui5
    %bytes_14 = irdl.is 15 : ui5
    %bytes_15 = irdl.is 16 : ui5
    %bytes = irdl.any_of(%bytes_0, %bytes_1, %bytes_2, %bytes_3, %bytes_4, %bytes_5, %bytes_6, %bytes_7, %bytes_8, %bytes_9, %bytes_10, %bytes_11, %bytes_12, %bytes_13, %bytes_14, %bytes_15)
    %lane_0 = irdl.is 0 : ui4
    %lane_1 = irdl.is 1 : ui4
    %lane_2 = irdl.is 2 : ui4
    %lane_3 = irdl.is 3 : ui4
    %lane_4 = irdl.is 4 : ui4
    %lane_5 = irdl.is 5 : ui4
    %lane_6 = irdl.is 6 : ui4
    %lane_7 = irdl.is 7 : ui4
    %lane_8 = irdl.is 8 : ui4
    %lane_9 = irdl.is 9 : ui4
    %lane_10 = irdl.is 10 : ui4
    %lane_11 = irdl.is 11 : ui4
    %lane_12 = irdl.is 12 : ui4
    %lane_13 = irdl.is 13 : ui4
    %lane_14 = irdl.is 14 : ui4
    %lane_15 = irdl.is 15 : ui4
    %lane = irdl.any_of(%lane_0, %lane_1, %lane_2, %lane_3, %lane_4, %lane_5, %lane_6, %lane_7, %lane_8, %lane_9, %lane_10, %lane_11, %lane_12, %lane_13, %lane_14, %lane_15)
    irdl.attributes {
      "act" = %act,
      "dram" = %dram,
      "width" = %width,
      "height" = %height,
      "blocks" = %blocks,
      "bytes" = %bytes,
      "lane" = %lane
    }
    %from_load = irdl.base @zeroskip::@load_to_store
    %from_compute = irdl.base @zeroskip::@compute_to_store
    irdl.operands(from_load: optional %from_load, from_compute: optional %from_compute)
    %to_load = irdl.base @zeroskip::@store_to_load
    %to_compute = irdl.base @zeroskip::@store_to_compute
    irdl.results(to_load: optional %to_load, to_compute: optional %to_compute)
  }
}

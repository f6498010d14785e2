module {
  func.func @main(%arg0: tensor<1x3x12x12xf32>) -> tensor<1x5xf32> {
    %0 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_5> : tensor<8xf32>}> : () -> tensor<8xf32>
    %1 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_4> : tensor<8xf32>}> : () -> tensor<8xf32>
    %2 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_3> : tensor<8xf32>}> : () -> tensor<8xf32>
    %3 = "tosa.const"() <{values = dense_resource<torch_tensor_5_8_torch.int8> : tensor<5x8xi8>}> : () -> tensor<5x8xi8>
    %4 = "tosa.const"() <{values = dense_resource<torch_tensor_8_8_1_1_torch.int8> : tensor<8x8x1x1xi8>}> : () -> tensor<8x8x1x1xi8>
    %5 = "tosa.const"() <{values = dense_resource<torch_tensor_8_1_3_3_torch.int8> : tensor<8x1x3x3xi8>}> : () -> tensor<8x1x3x3xi8>
    %6 = "tosa.const"() <{values = dense_resource<torch_tensor_8_3_3_3_torch.int8> : tensor<8x3x3x3xi8>}> : () -> tensor<8x3x3x3xi8>
    %7 = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
    %8 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<1xf32>}> : () -> tensor<1xf32>
    %9 = tosa.const_shape  {values = dense<[1, 8]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %10 = tosa.const_shape  {values = dense<[1, 1, 8]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %11 = tosa.const_shape  {values = dense<[1, 8, 5]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %12 = tosa.const_shape  {values = dense<[1, 5]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %13 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32> : tensor<8x1x1x1xf32>}> : () -> tensor<8x1x1x1xf32>
    %14 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.int64> : tensor<8x1x1x1xi64>}> : () -> tensor<8x1x1x1xi64>
    %15 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_1> : tensor<8x1x1x1xf32>}> : () -> tensor<8x1x1x1xf32>
    %16 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.int64_1> : tensor<8x1x1x1xi64>}> : () -> tensor<8x1x1x1xi64>
    %17 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_2> : tensor<8x1x1x1xf32>}> : () -> tensor<8x1x1x1xf32>
    %18 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.int64_2> : tensor<8x1x1x1xi64>}> : () -> tensor<8x1x1x1xi64>
    %19 = "tosa.const"() <{values = dense_resource<torch_tensor_5_torch.float32> : tensor<5x1xf32>}> : () -> tensor<5x1xf32>
    %20 = "tosa.const"() <{values = dense_resource<torch_tensor_5_torch.int64> : tensor<5x1xi64>}> : () -> tensor<5x1xi64>
    %21 = "tosa.const"() <{values = dense<31.1308594> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %22 = "tosa.const"() <{values = dense<5.000000e-01> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %23 = "tosa.const"() <{values = dense<2.000000e+00> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %24 = "tosa.const"() <{values = dense<-1.000000e+00> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %25 = "tosa.const"() <{values = dense<-1> : tensor<1x1x1x1xi32>}> : () -> tensor<1x1x1x1xi32>
    %26 = "tosa.const"() <{values = dense<0.0321224667> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %27 = "tosa.const"() <{values = dense<92.7030639> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %28 = "tosa.const"() <{values = dense<-1.280000e+02> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %29 = "tosa.const"() <{values = dense<-128> : tensor<1x1x1x1xi32>}> : () -> tensor<1x1x1x1xi32>
    %30 = "tosa.const"() <{values = dense<0.0107871303> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %31 = "tosa.const"() <{values = dense<107.172058> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %32 = "tosa.const"() <{values = dense<2.600000e+01> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %33 = "tosa.const"() <{values = dense<26> : tensor<1x1x1x1xi32>}> : () -> tensor<1x1x1x1xi32>
    %34 = "tosa.const"() <{values = dense<0.00933079048> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %35 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %36 = "tosa.const"() <{values = dense<6.000000e+00> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %37 = "tosa.const"() <{values = dense<269.315033> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %38 = "tosa.const"() <{values = dense<0.00371312373> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %39 = tosa.const_shape  {values = dense<[8, 1, 1, 8]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %40 = "tosa.const"() <{values = dense<237.293839> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %41 = "tosa.const"() <{values = dense<-1.300000e+01> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %42 = "tosa.const"() <{values = dense<-13> : tensor<1x1x1x1xi32>}> : () -> tensor<1x1x1x1xi32>
    %43 = "tosa.const"() <{values = dense<0.00421418436> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %44 = "tosa.const"() <{values = dense<77.2411651> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %45 = "tosa.const"() <{values = dense<-9.200000e+01> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %46 = "tosa.const"() <{values = dense<-92> : tensor<1x1x1x1xi32>}> : () -> tensor<1x1x1x1xi32>
    %47 = "tosa.const"() <{values = dense<0.0129464651> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %48 = "tosa.const"() <{values = dense<0.111111112> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %49 = "tosa.const"() <{values = dense<77.2411651> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %50 = "tosa.const"() <{values = dense<5.000000e-01> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %51 = "tosa.const"() <{values = dense<2.000000e+00> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %52 = "tosa.const"() <{values = dense<-9.200000e+01> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %53 = "tosa.const"() <{values = dense<-92> : tensor<1x1xi32>}> : () -> tensor<1x1xi32>
    %54 = "tosa.const"() <{values = dense<0.0129464651> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %55 = "tosa.const"() <{values = dense_resource<torch_tensor_5_torch.float32_1> : tensor<1x5xf32>}> : () -> tensor<1x5xf32>
    %56 = "tosa.const"() <{values = dense<306.195038> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %57 = "tosa.const"() <{values = dense<3.900000e+01> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %58 = "tosa.const"() <{values = dense<39> : tensor<1x1xi32>}> : () -> tensor<1x1xi32>
    %59 = "tosa.const"() <{values = dense<0.00326589239> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %60 = tosa.cast %14 : (tensor<8x1x1x1xi64>) -> tensor<8x1x1x1xi32>
    %61 = tosa.cast %6 : (tensor<8x3x3x3xi8>) -> tensor<8x3x3x3xi32>
    %62 = tosa.sub %61, %60 : (tensor<8x3x3x3xi32>, tensor<8x1x1x1xi32>) -> tensor<8x3x3x3xi32>
    %63 = tosa.cast %62 : (tensor<8x3x3x3xi32>) -> tensor<8x3x3x3xf32>
    %64 = tosa.mul %63, %13, %7 : (tensor<8x3x3x3xf32>, tensor<8x1x1x1xf32>, tensor<1xi8>) -> tensor<8x3x3x3xf32>
    %65 = tosa.cast %16 : (tensor<8x1x1x1xi64>) -> tensor<8x1x1x1xi32>
    %66 = tosa.cast %5 : (tensor<8x1x3x3xi8>) -> tensor<8x1x3x3xi32>
    %67 = tosa.sub %66, %65 : (tensor<8x1x3x3xi32>, tensor<8x1x1x1xi32>) -> tensor<8x1x3x3xi32>
    %68 = tosa.cast %67 : (tensor<8x1x3x3xi32>) -> tensor<8x1x3x3xf32>
    %69 = tosa.mul %68, %15, %7 : (tensor<8x1x3x3xf32>, tensor<8x1x1x1xf32>, tensor<1xi8>) -> tensor<8x1x3x3xf32>
    %70 = tosa.cast %18 : (tensor<8x1x1x1xi64>) -> tensor<8x1x1x1xi32>
    %71 = tosa.cast %4 : (tensor<8x8x1x1xi8>) -> tensor<8x8x1x1xi32>
    %72 = tosa.sub %71, %70 : (tensor<8x8x1x1xi32>, tensor<8x1x1x1xi32>) -> tensor<8x8x1x1xi32>
    %73 = tosa.cast %72 : (tensor<8x8x1x1xi32>) -> tensor<8x8x1x1xf32>
    %74 = tosa.mul %73, %17, %7 : (tensor<8x8x1x1xf32>, tensor<8x1x1x1xf32>, tensor<1xi8>) -> tensor<8x8x1x1xf32>
    %75 = tosa.cast %20 : (tensor<5x1xi64>) -> tensor<5x1xi32>
    %76 = tosa.cast %3 : (tensor<5x8xi8>) -> tensor<5x8xi32>
    %77 = tosa.sub %76, %75 : (tensor<5x8xi32>, tensor<5x1xi32>) -> tensor<5x8xi32>
    %78 = tosa.cast %77 : (tensor<5x8xi32>) -> tensor<5x8xf32>
    %79 = tosa.mul %78, %19, %7 : (tensor<5x8xf32>, tensor<5x1xf32>, tensor<1xi8>) -> tensor<5x8xf32>
    %80 = tosa.mul %arg0, %21, %7 : (tensor<1x3x12x12xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x3x12x12xf32>
    %81 = tosa.floor %80 : (tensor<1x3x12x12xf32>) -> tensor<1x3x12x12xf32>
    %82 = tosa.sub %80, %81 : (tensor<1x3x12x12xf32>, tensor<1x3x12x12xf32>) -> tensor<1x3x12x12xf32>
    %83 = tosa.ceil %80 : (tensor<1x3x12x12xf32>) -> tensor<1x3x12x12xf32>
    %84 = tosa.mul %81, %22, %7 : (tensor<1x3x12x12xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x3x12x12xf32>
    %85 = tosa.floor %84 : (tensor<1x3x12x12xf32>) -> tensor<1x3x12x12xf32>
    %86 = tosa.mul %85, %23, %7 : (tensor<1x3x12x12xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x3x12x12xf32>
    %87 = tosa.equal %81, %86 : (tensor<1x3x12x12xf32>, tensor<1x3x12x12xf32>) -> tensor<1x3x12x12xi1>
    %88 = tosa.equal %82, %22 : (tensor<1x3x12x12xf32>, tensor<1x1x1x1xf32>) -> tensor<1x3x12x12xi1>
    %89 = tosa.greater %22, %82 : (tensor<1x1x1x1xf32>, tensor<1x3x12x12xf32>) -> tensor<1x3x12x12xi1>
    %90 = tosa.logical_and %88, %87 : (tensor<1x3x12x12xi1>, tensor<1x3x12x12xi1>) -> tensor<1x3x12x12xi1>
    %91 = tosa.logical_or %89, %90 : (tensor<1x3x12x12xi1>, tensor<1x3x12x12xi1>) -> tensor<1x3x12x12xi1>
    %92 = tosa.select %91, %81, %83 : (tensor<1x3x12x12xi1>, tensor<1x3x12x12xf32>, tensor<1x3x12x12xf32>) -> tensor<1x3x12x12xf32>
    %93 = tosa.add %92, %24 : (tensor<1x3x12x12xf32>, tensor<1x1x1x1xf32>) -> tensor<1x3x12x12xf32>
    %94 = tosa.clamp %93 {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32} : (tensor<1x3x12x12xf32>) -> tensor<1x3x12x12xf32>
    %95 = tosa.cast %94 : (tensor<1x3x12x12xf32>) -> tensor<1x3x12x12xi8>
    %96 = tosa.cast %95 : (tensor<1x3x12x12xi8>) -> tensor<1x3x12x12xi32>
    %97 = tosa.sub %96, %25 : (tensor<1x3x12x12xi32>, tensor<1x1x1x1xi32>) -> tensor<1x3x12x12xi32>
    %98 = tosa.cast %97 : (tensor<1x3x12x12xi32>) -> tensor<1x3x12x12xf32>
    %99 = tosa.mul %98, %26, %7 : (tensor<1x3x12x12xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x3x12x12xf32>
    %100 = tosa.transpose %99 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x3x12x12xf32>) -> tensor<1x12x12x3xf32>
    %101 = tosa.transpose %64 {perms = array<i32: 0, 2, 3, 1>} : (tensor<8x3x3x3xf32>) -> tensor<8x3x3x3xf32>
    %102 = tosa.conv2d %100, %101, %2, %8, %8 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 0, 1, 0>, stride = array<i64: 2, 2>} : (tensor<1x12x12x3xf32>, tensor<8x3x3x3xf32>, tensor<8xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x6x6x8xf32>
    %103 = tosa.transpose %102 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x6x6x8xf32>) -> tensor<1x8x6x6xf32>
    %104 = tosa.clamp %103 {max_val = 3.40282347E+38 : f32, min_val = 0.000000e+00 : f32} : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %105 = tosa.mul %104, %27, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %106 = tosa.floor %105 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %107 = tosa.sub %105, %106 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %108 = tosa.ceil %105 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %109 = tosa.mul %106, %22, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %110 = tosa.floor %109 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %111 = tosa.mul %110, %23, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %112 = tosa.equal %106, %111 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi1>
    %113 = tosa.equal %107, %22 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xi1>
    %114 = tosa.greater %22, %107 : (tensor<1x1x1x1xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi1>
    %115 = tosa.logical_and %113, %112 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xi1>) -> tensor<1x8x6x6xi1>
    %116 = tosa.logical_or %114, %115 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xi1>) -> tensor<1x8x6x6xi1>
    %117 = tosa.select %116, %106, %108 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %118 = tosa.add %117, %28 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xf32>
    %119 = tosa.clamp %118 {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32} : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %120 = tosa.cast %119 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi8>
    %121 = tosa.cast %120 : (tensor<1x8x6x6xi8>) -> tensor<1x8x6x6xi32>
    %122 = tosa.sub %121, %29 : (tensor<1x8x6x6xi32>, tensor<1x1x1x1xi32>) -> tensor<1x8x6x6xi32>
    %123 = tosa.cast %122 : (tensor<1x8x6x6xi32>) -> tensor<1x8x6x6xf32>
    %124 = tosa.mul %123, %30, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %125 = tosa.transpose %124 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x8x6x6xf32>) -> tensor<1x6x6x8xf32>
    %126 = tosa.transpose %69 {perms = array<i32: 2, 3, 0, 1>} : (tensor<8x1x3x3xf32>) -> tensor<3x3x8x1xf32>
    %127 = tosa.depthwise_conv2d %125, %126, %1, %8, %8 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x6x6x8xf32>, tensor<3x3x8x1xf32>, tensor<8xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x6x6x8xf32>
    %128 = tosa.transpose %127 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x6x6x8xf32>) -> tensor<1x8x6x6xf32>
    %129 = tosa.mul %128, %31, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %130 = tosa.floor %129 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %131 = tosa.sub %129, %130 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %132 = tosa.ceil %129 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %133 = tosa.mul %130, %22, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %134 = tosa.floor %133 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %135 = tosa.mul %134, %23, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %136 = tosa.equal %130, %135 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi1>
    %137 = tosa.equal %131, %22 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xi1>
    %138 = tosa.greater %22, %131 : (tensor<1x1x1x1xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi1>
    %139 = tosa.logical_and %137, %136 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xi1>) -> tensor<1x8x6x6xi1>
    %140 = tosa.logical_or %138, %139 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xi1>) -> tensor<1x8x6x6xi1>
    %141 = tosa.select %140, %130, %132 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %142 = tosa.add %141, %32 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xf32>
    %143 = tosa.clamp %142 {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32} : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %144 = tosa.cast %143 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi8>
    %145 = tosa.cast %144 : (tensor<1x8x6x6xi8>) -> tensor<1x8x6x6xi32>
    %146 = tosa.sub %145, %33 : (tensor<1x8x6x6xi32>, tensor<1x1x1x1xi32>) -> tensor<1x8x6x6xi32>
    %147 = tosa.cast %146 : (tensor<1x8x6x6xi32>) -> tensor<1x8x6x6xf32>
    %148 = tosa.mul %147, %34, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %149 = tosa.maximum %148, %35 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xf32>
    %150 = tosa.minimum %149, %36 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xf32>
    %151 = tosa.mul %150, %37, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %152 = tosa.floor %151 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %153 = tosa.sub %151, %152 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %154 = tosa.ceil %151 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %155 = tosa.mul %152, %22, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %156 = tosa.floor %155 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %157 = tosa.mul %156, %23, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %158 = tosa.equal %152, %157 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi1>
    %159 = tosa.equal %153, %22 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xi1>
    %160 = tosa.greater %22, %153 : (tensor<1x1x1x1xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi1>
    %161 = tosa.logical_and %159, %158 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xi1>) -> tensor<1x8x6x6xi1>
    %162 = tosa.logical_or %160, %161 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xi1>) -> tensor<1x8x6x6xi1>
    %163 = tosa.select %162, %152, %154 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %164 = tosa.add %163, %28 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xf32>
    %165 = tosa.clamp %164 {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32} : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %166 = tosa.cast %165 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi8>
    %167 = tosa.cast %166 : (tensor<1x8x6x6xi8>) -> tensor<1x8x6x6xi32>
    %168 = tosa.sub %167, %29 : (tensor<1x8x6x6xi32>, tensor<1x1x1x1xi32>) -> tensor<1x8x6x6xi32>
    %169 = tosa.cast %168 : (tensor<1x8x6x6xi32>) -> tensor<1x8x6x6xf32>
    %170 = tosa.mul %169, %38, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %171 = tosa.transpose %170 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x8x6x6xf32>) -> tensor<1x6x6x8xf32>
    %172 = tosa.reshape %74, %39 : (tensor<8x8x1x1xf32>, !tosa.shape<4>) -> tensor<8x1x1x8xf32>
    %173 = tosa.conv2d %171, %172, %0, %8, %8 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x6x6x8xf32>, tensor<8x1x1x8xf32>, tensor<8xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x6x6x8xf32>
    %174 = tosa.transpose %173 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x6x6x8xf32>) -> tensor<1x8x6x6xf32>
    %175 = tosa.mul %174, %40, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %176 = tosa.floor %175 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %177 = tosa.sub %175, %176 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %178 = tosa.ceil %175 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %179 = tosa.mul %176, %22, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %180 = tosa.floor %179 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %181 = tosa.mul %180, %23, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %182 = tosa.equal %176, %181 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi1>
    %183 = tosa.equal %177, %22 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xi1>
    %184 = tosa.greater %22, %177 : (tensor<1x1x1x1xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi1>
    %185 = tosa.logical_and %183, %182 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xi1>) -> tensor<1x8x6x6xi1>
    %186 = tosa.logical_or %184, %185 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xi1>) -> tensor<1x8x6x6xi1>
    %187 = tosa.select %186, %176, %178 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %188 = tosa.add %187, %41 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xf32>
    %189 = tosa.clamp %188 {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32} : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %190 = tosa.cast %189 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi8>
    %191 = tosa.cast %190 : (tensor<1x8x6x6xi8>) -> tensor<1x8x6x6xi32>
    %192 = tosa.sub %191, %42 : (tensor<1x8x6x6xi32>, tensor<1x1x1x1xi32>) -> tensor<1x8x6x6xi32>
    %193 = tosa.cast %192 : (tensor<1x8x6x6xi32>) -> tensor<1x8x6x6xf32>
    %194 = tosa.mul %193, %43, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %195 = tosa.add %124, %194 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %196 = tosa.mul %195, %44, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %197 = tosa.floor %196 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %198 = tosa.sub %196, %197 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %199 = tosa.ceil %196 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %200 = tosa.mul %197, %22, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %201 = tosa.floor %200 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %202 = tosa.mul %201, %23, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %203 = tosa.equal %197, %202 : (tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi1>
    %204 = tosa.equal %198, %22 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xi1>
    %205 = tosa.greater %22, %198 : (tensor<1x1x1x1xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi1>
    %206 = tosa.logical_and %204, %203 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xi1>) -> tensor<1x8x6x6xi1>
    %207 = tosa.logical_or %205, %206 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xi1>) -> tensor<1x8x6x6xi1>
    %208 = tosa.select %207, %197, %199 : (tensor<1x8x6x6xi1>, tensor<1x8x6x6xf32>, tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %209 = tosa.add %208, %45 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x6x6xf32>
    %210 = tosa.clamp %209 {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32} : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
    %211 = tosa.cast %210 : (tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xi8>
    %212 = tosa.cast %211 : (tensor<1x8x6x6xi8>) -> tensor<1x8x6x6xi32>
    %213 = tosa.sub %212, %46 : (tensor<1x8x6x6xi32>, tensor<1x1x1x1xi32>) -> tensor<1x8x6x6xi32>
    %214 = tosa.cast %213 : (tensor<1x8x6x6xi32>) -> tensor<1x8x6x6xf32>
    %215 = tosa.mul %214, %47, %7 : (tensor<1x8x6x6xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x6x6xf32>
    %216 = tosa.transpose %215 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x8x6x6xf32>) -> tensor<1x6x6x8xf32>
    %217 = tosa.max_pool2d %216 {kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x6x6x8xf32>) -> tensor<1x3x3x8xf32>
    %218 = tosa.transpose %217 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x3x3x8xf32>) -> tensor<1x8x3x3xf32>
    %219 = tosa.mul %218, %44, %7 : (tensor<1x8x3x3xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x3x3xf32>
    %220 = tosa.floor %219 : (tensor<1x8x3x3xf32>) -> tensor<1x8x3x3xf32>
    %221 = tosa.sub %219, %220 : (tensor<1x8x3x3xf32>, tensor<1x8x3x3xf32>) -> tensor<1x8x3x3xf32>
    %222 = tosa.ceil %219 : (tensor<1x8x3x3xf32>) -> tensor<1x8x3x3xf32>
    %223 = tosa.mul %220, %22, %7 : (tensor<1x8x3x3xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x3x3xf32>
    %224 = tosa.floor %223 : (tensor<1x8x3x3xf32>) -> tensor<1x8x3x3xf32>
    %225 = tosa.mul %224, %23, %7 : (tensor<1x8x3x3xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x3x3xf32>
    %226 = tosa.equal %220, %225 : (tensor<1x8x3x3xf32>, tensor<1x8x3x3xf32>) -> tensor<1x8x3x3xi1>
    %227 = tosa.equal %221, %22 : (tensor<1x8x3x3xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x3x3xi1>
    %228 = tosa.greater %22, %221 : (tensor<1x1x1x1xf32>, tensor<1x8x3x3xf32>) -> tensor<1x8x3x3xi1>
    %229 = tosa.logical_and %227, %226 : (tensor<1x8x3x3xi1>, tensor<1x8x3x3xi1>) -> tensor<1x8x3x3xi1>
    %230 = tosa.logical_or %228, %229 : (tensor<1x8x3x3xi1>, tensor<1x8x3x3xi1>) -> tensor<1x8x3x3xi1>
    %231 = tosa.select %230, %220, %222 : (tensor<1x8x3x3xi1>, tensor<1x8x3x3xf32>, tensor<1x8x3x3xf32>) -> tensor<1x8x3x3xf32>
    %232 = tosa.add %231, %45 : (tensor<1x8x3x3xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x3x3xf32>
    %233 = tosa.clamp %232 {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32} : (tensor<1x8x3x3xf32>) -> tensor<1x8x3x3xf32>
    %234 = tosa.cast %233 : (tensor<1x8x3x3xf32>) -> tensor<1x8x3x3xi8>
    %235 = tosa.cast %234 : (tensor<1x8x3x3xi8>) -> tensor<1x8x3x3xi32>
    %236 = tosa.sub %235, %46 : (tensor<1x8x3x3xi32>, tensor<1x1x1x1xi32>) -> tensor<1x8x3x3xi32>
    %237 = tosa.cast %236 : (tensor<1x8x3x3xi32>) -> tensor<1x8x3x3xf32>
    %238 = tosa.mul %237, %47, %7 : (tensor<1x8x3x3xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x3x3xf32>
    %239 = tosa.reduce_sum %238 {axis = 3 : i32} : (tensor<1x8x3x3xf32>) -> tensor<1x8x3x1xf32>
    %240 = tosa.reduce_sum %239 {axis = 2 : i32} : (tensor<1x8x3x1xf32>) -> tensor<1x8x1x1xf32>
    %241 = tosa.mul %240, %48, %7 : (tensor<1x8x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x1x1xf32>
    %242 = tosa.mul %241, %44, %7 : (tensor<1x8x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x1x1xf32>
    %243 = tosa.floor %242 : (tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
    %244 = tosa.sub %242, %243 : (tensor<1x8x1x1xf32>, tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
    %245 = tosa.ceil %242 : (tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
    %246 = tosa.mul %243, %22, %7 : (tensor<1x8x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x1x1xf32>
    %247 = tosa.floor %246 : (tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
    %248 = tosa.mul %247, %23, %7 : (tensor<1x8x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x1x1xf32>
    %249 = tosa.equal %243, %248 : (tensor<1x8x1x1xf32>, tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xi1>
    %250 = tosa.equal %244, %22 : (tensor<1x8x1x1xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x1x1xi1>
    %251 = tosa.greater %22, %244 : (tensor<1x1x1x1xf32>, tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xi1>
    %252 = tosa.logical_and %250, %249 : (tensor<1x8x1x1xi1>, tensor<1x8x1x1xi1>) -> tensor<1x8x1x1xi1>
    %253 = tosa.logical_or %251, %252 : (tensor<1x8x1x1xi1>, tensor<1x8x1x1xi1>) -> tensor<1x8x1x1xi1>
    %254 = tosa.select %253, %243, %245 : (tensor<1x8x1x1xi1>, tensor<1x8x1x1xf32>, tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
    %255 = tosa.add %254, %45 : (tensor<1x8x1x1xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x1x1xf32>
    %256 = tosa.clamp %255 {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32} : (tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
    %257 = tosa.cast %256 : (tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xi8>
    %258 = tosa.cast %257 : (tensor<1x8x1x1xi8>) -> tensor<1x8x1x1xi32>
    %259 = tosa.sub %258, %46 : (tensor<1x8x1x1xi32>, tensor<1x1x1x1xi32>) -> tensor<1x8x1x1xi32>
    %260 = tosa.cast %259 : (tensor<1x8x1x1xi32>) -> tensor<1x8x1x1xf32>
    %261 = tosa.mul %260, %47, %7 : (tensor<1x8x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x1x1xf32>
    %262 = tosa.reshape %261, %9 : (tensor<1x8x1x1xf32>, !tosa.shape<2>) -> tensor<1x8xf32>
    %263 = tosa.mul %262, %49, %7 : (tensor<1x8xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<1x8xf32>
    %264 = tosa.floor %263 : (tensor<1x8xf32>) -> tensor<1x8xf32>
    %265 = tosa.sub %263, %264 : (tensor<1x8xf32>, tensor<1x8xf32>) -> tensor<1x8xf32>
    %266 = tosa.ceil %263 : (tensor<1x8xf32>) -> tensor<1x8xf32>
    %267 = tosa.mul %264, %50, %7 : (tensor<1x8xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<1x8xf32>
    %268 = tosa.floor %267 : (tensor<1x8xf32>) -> tensor<1x8xf32>
    %269 = tosa.mul %268, %51, %7 : (tensor<1x8xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<1x8xf32>
    %270 = tosa.equal %264, %269 : (tensor<1x8xf32>, tensor<1x8xf32>) -> tensor<1x8xi1>
    %271 = tosa.equal %265, %50 : (tensor<1x8xf32>, tensor<1x1xf32>) -> tensor<1x8xi1>
    %272 = tosa.greater %50, %265 : (tensor<1x1xf32>, tensor<1x8xf32>) -> tensor<1x8xi1>
    %273 = tosa.logical_and %271, %270 : (tensor<1x8xi1>, tensor<1x8xi1>) -> tensor<1x8xi1>
    %274 = tosa.logical_or %272, %273 : (tensor<1x8xi1>, tensor<1x8xi1>) -> tensor<1x8xi1>
    %275 = tosa.select %274, %264, %266 : (tensor<1x8xi1>, tensor<1x8xf32>, tensor<1x8xf32>) -> tensor<1x8xf32>
    %276 = tosa.add %275, %52 : (tensor<1x8xf32>, tensor<1x1xf32>) -> tensor<1x8xf32>
    %277 = tosa.clamp %276 {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32} : (tensor<1x8xf32>) -> tensor<1x8xf32>
    %278 = tosa.cast %277 : (tensor<1x8xf32>) -> tensor<1x8xi8>
    %279 = tosa.cast %278 : (tensor<1x8xi8>) -> tensor<1x8xi32>
    %280 = tosa.sub %279, %53 : (tensor<1x8xi32>, tensor<1x1xi32>) -> tensor<1x8xi32>
    %281 = tosa.cast %280 : (tensor<1x8xi32>) -> tensor<1x8xf32>
    %282 = tosa.mul %281, %54, %7 : (tensor<1x8xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<1x8xf32>
    %283 = tosa.transpose %79 {perms = array<i32: 1, 0>} : (tensor<5x8xf32>) -> tensor<8x5xf32>
    %284 = tosa.reshape %282, %10 : (tensor<1x8xf32>, !tosa.shape<3>) -> tensor<1x1x8xf32>
    %285 = tosa.reshape %283, %11 : (tensor<8x5xf32>, !tosa.shape<3>) -> tensor<1x8x5xf32>
    %286 = tosa.matmul %284, %285, %8, %8 : (tensor<1x1x8xf32>, tensor<1x8x5xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x5xf32>
    %287 = tosa.reshape %286, %12 : (tensor<1x1x5xf32>, !tosa.shape<2>) -> tensor<1x5xf32>
    %288 = tosa.add %287, %55 : (tensor<1x5xf32>, tensor<1x5xf32>) -> tensor<1x5xf32>
    %289 = tosa.mul %288, %56, %7 : (tensor<1x5xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<1x5xf32>
    %290 = tosa.floor %289 : (tensor<1x5xf32>) -> tensor<1x5xf32>
    %291 = tosa.sub %289, %290 : (tensor<1x5xf32>, tensor<1x5xf32>) -> tensor<1x5xf32>
    %292 = tosa.ceil %289 : (tensor<1x5xf32>) -> tensor<1x5xf32>
    %293 = tosa.mul %290, %50, %7 : (tensor<1x5xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<1x5xf32>
    %294 = tosa.floor %293 : (tensor<1x5xf32>) -> tensor<1x5xf32>
    %295 = tosa.mul %294, %51, %7 : (tensor<1x5xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<1x5xf32>
    %296 = tosa.equal %290, %295 : (tensor<1x5xf32>, tensor<1x5xf32>) -> tensor<1x5xi1>
    %297 = tosa.equal %291, %50 : (tensor<1x5xf32>, tensor<1x1xf32>) -> tensor<1x5xi1>
    %298 = tosa.greater %50, %291 : (tensor<1x1xf32>, tensor<1x5xf32>) -> tensor<1x5xi1>
    %299 = tosa.logical_and %297, %296 : (tensor<1x5xi1>, tensor<1x5xi1>) -> tensor<1x5xi1>
    %300 = tosa.logical_or %298, %299 : (tensor<1x5xi1>, tensor<1x5xi1>) -> tensor<1x5xi1>
    %301 = tosa.select %300, %290, %292 : (tensor<1x5xi1>, tensor<1x5xf32>, tensor<1x5xf32>) -> tensor<1x5xf32>
    %302 = tosa.add %301, %57 : (tensor<1x5xf32>, tensor<1x1xf32>) -> tensor<1x5xf32>
    %303 = tosa.clamp %302 {max_val = 1.270000e+02 : f32, min_val = -1.280000e+02 : f32} : (tensor<1x5xf32>) -> tensor<1x5xf32>
    %304 = tosa.cast %303 : (tensor<1x5xf32>) -> tensor<1x5xi8>
    %305 = tosa.cast %304 : (tensor<1x5xi8>) -> tensor<1x5xi32>
    %306 = tosa.sub %305, %58 : (tensor<1x5xi32>, tensor<1x1xi32>) -> tensor<1x5xi32>
    %307 = tosa.cast %306 : (tensor<1x5xi32>) -> tensor<1x5xf32>
    %308 = tosa.mul %307, %59, %7 : (tensor<1x5xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<1x5xf32>
    return %308 : tensor<1x5xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      torch_tensor_8_torch.float32_5: "0x04000000146BA63EC08795BE67A332BE4D72DCBD268C723D9BD0443EDFD49A3DBD8907BE",
      torch_tensor_8_torch.float32_4: "0x04000000CCE0843E5EC959BEA00F5FBE4B9B1D3DD678203C7BD212BE1E74AA3E840792BE",
      torch_tensor_8_torch.float32_3: "0x04000000633F44BE0BE9BABE0A4E6E3D0942833EB3D5BEBD8CDB99BE3C16E1BE6CFCB13D",
      torch_tensor_5_8_torch.int8: "0x0100000081D1B4A06316AA4C8796EF765C87813DF3120581E2C7E170880C7E8D2E7F4845CE360F7F8244B08A",
      torch_tensor_8_8_1_1_torch.int8: "0x010000005C52D93CE48170D4ED7F7EA0DE4950A187468F78819F415BD0B0352C2381D6CD0173A3FE314881056FA458EC7F87196670B28103B562AF1081007F4D3DAB7CB8",
      torch_tensor_8_1_3_3_torch.int8: "0x0100000014D5267F07A27F63F3BEC37F4CB5061E27F8B1FBD7CEB6B7B93B818172304A3ACDACA5F82281984C11597952E3C5256C81249A973043312AD50381A203DFEA6442DBC6815A8536E0",
      torch_tensor_8_3_3_3_torch.int8: "0x010000001EE124F9371FF1971E8D1109E36A093637B4CE7D81F7F65CF422FAB3B2BD83A7205A07C13CCBE2B5D5813A351B433A060F0A495C624FE0FAE54D0F7A438F277F75FE2C84D6408873A92AFB170D84E4AC70F0811F37C7F437B1BDF4A64E0A4C449EB1A9D7D1EB853648285160811377A3C7F9B0E8ED73F8465E39906055A4D258838FA928CB8D324130927DF686ED543BFF5A8B597FB21BEB94FFD593A303772EAB580B810653B4FABF9AB60D54E88BFF8F086037B1E3342386B4D230744238826035D0B92AB03C719EA3C281EF5C38D0EEBF88D80AB5912B",
      torch_tensor_8_torch.float32: "0x04000000A13E3B3A7271A63A70A5243A69C39F3A9894E53AFF92233BE4930A3BB672343A",
      torch_tensor_8_torch.int64: "0x0800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
      torch_tensor_8_torch.float32_1: "0x04000000F00F1F3B9DFD153BBD6C113B5B9A233B6420213BCEE8243BF8E3173B2DE9F83A",
      torch_tensor_8_torch.int64_1: "0x0800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
      torch_tensor_8_torch.float32_2: "0x04000000811D093B90C5323B59A20B3B0D3B283B6BB5343B513A243B8822153BC8F41F3B",
      torch_tensor_8_torch.int64_2: "0x0800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
      torch_tensor_5_torch.float32: "0x04000000004F113BE1B0003BD89C023B63CC343B048D303B",
      torch_tensor_5_torch.int64: "0x0800000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
      torch_tensor_5_torch.float32_1: "0x0400000017BDA83E4572923DC1A347BE1EE3A9BEB20C91BD"
    }
  }
#-}

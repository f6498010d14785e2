module {
  func.func @main(%arg0: tensor<1x3x12x12xf32>) -> tensor<1x5xf32> {
    %0 = "tosa.const"() <{values = dense<2.500000e-01> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %1 = "tosa.const"() <{values = dense_resource<torch_tensor_4_torch.float32_1> : tensor<4xf32>}> : () -> tensor<4xf32>
    %2 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_10> : tensor<8xf32>}> : () -> tensor<8xf32>
    %3 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_9> : tensor<8xf32>}> : () -> tensor<8xf32>
    %4 = "tosa.const"() <{values = dense_resource<torch_tensor_4_torch.float32> : tensor<4xf32>}> : () -> tensor<4xf32>
    %5 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_6> : tensor<8xf32>}> : () -> tensor<8xf32>
    %6 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_4> : tensor<8xf32>}> : () -> tensor<8xf32>
    %7 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_1> : tensor<8xf32>}> : () -> tensor<8xf32>
    %8 = tosa.const_shape  {values = dense<[0, 0, 0, 0, 0, 1, 0, 1]> : tensor<8xindex>} : () -> !tosa.shape<8>
    %9 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<1xf32>}> : () -> tensor<1xf32>
    %10 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<8xf32>}> : () -> tensor<8xf32>
    %11 = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
    %12 = tosa.const_shape  {values = dense<[1, 8, 1, 1]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %13 = tosa.const_shape  {values = dense<[1, 7, 7, 4]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %14 = tosa.const_shape  {values = dense<[4, 3, 3, 4]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %15 = tosa.const_shape  {values = dense<4> : tensor<1xindex>} : () -> !tosa.shape<1>
    %16 = tosa.const_shape  {values = dense<0> : tensor<4xindex>} : () -> !tosa.shape<4>
    %17 = tosa.const_shape  {values = dense<0> : tensor<1xindex>} : () -> !tosa.shape<1>
    %18 = tosa.const_shape  {values = dense<[0, 0, 0, 4]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %19 = tosa.const_shape  {values = dense<[4, 0, 0, 0]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %20 = tosa.const_shape  {values = dense<[1, 6, 6, 16]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %21 = tosa.const_shape  {values = dense<[1, 4, 2, 3]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %22 = tosa.const_shape  {values = dense<[0, 0, 1, 0]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %23 = tosa.const_shape  {values = dense<[1, 4]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %24 = tosa.const_shape  {values = dense<[1, 1, 4]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %25 = tosa.const_shape  {values = dense<[1, 5]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %26 = "tosa.const"() <{values = dense<"0x99D2343D51792EBE288597BDDD963BBDF633CF3C54863D3EF42A583D688C513C470641BEBD0D21BC2B572DBD422756BCED5EA83D8324213EEEE179BCBCAA3B3D926D523C68C80B3E4E33B5BCC170A33DC9E195BCA7521FBE0BCCA63D27914F3D84F9333DAC83E8BD495C17BC39B2DCBD9137AD3DA683C13DB964DFBD784C97BD530CA73D467CBFBD309E2EBDC5800B3CAD0433BEB711D8BD2AF7A63CD7C9FFBD408577BD4DC6703C1385393D9F9A36BE9F4FD23D3AB3013EB22CA83D6161043E3B541B3C4041993D2F860D3E32ABB4BDF6931C3DC871E43D653040BDC15B3D3EE79801BE615E0CBC950B2F3E3A45793DFC3120BD773346BB1CBEEEBB5448E53DB9C1823D60E80A3DBC16AF3C5DDC38BE71BE983C0165363E904D7BBDF53938BE58E7C73D7432C03D5A5229BD3D6D28BEC08533BE8C23F9BD9398663DE2AF2B3EF889273E5E85C1BC851598BC3B5A7DBD983944BE76640ABE0E0790BD65EB3E3D853CF23DD207FEBC8E29AB3DADF2803C02A53EBE6C70B0BD77D0EB3D7071A63D9CE493BC0001D33DD498DF3DCD63AA3D99DF17BEA6D4793D343CF5BDEFA9F5BD2775FA3D0359D0BDA6CA06BE4C0B143EA38A42BE2B952F3ED6898CBD6625EE3C714346BC8621063EA9CD363ED9BAD53D58923FBEB0D10EBE084F103E66B92CBEE07DAFBDF098AF3DA99005BE480C26BCCA602BBE41A0753DC42FF5BD42B4133E15F4A0BD5B9314BD01F5013E08C12FBECDF7E8BC65450DBE99C7983D305DC73DB0CA06BBE323DDBA0FA1933DEFEC0A3EA91584BDDFD728BE35CD33BE495328BEB7E33F3E3CBC083E15990FBE0BE76DBCF99E433EDF99893BB6903BBE4BA9EFBD27B2363EFC55EDBCD114293D311D8D3D65B7003EA13AFEBC011E03BE0D83B53D135D26BE87ED073ED768813CC9509E3CA811F1BD8B9040BEB2C6FE3D64F82DBD7C91153CAF7A12BDAFD29D3D7003FD3D003A31BEA4D8553D4CC1E7BD0EEDD7BAA21C39BE451411BC60652BBEE5C9E5BDB85DC4BD2438393CFD638BBDE7631BBE7E1C123E7ED7903D50F4DFBD3F36A83DE614303E17A2AF3D2DFF9F3D67067EBDAEE3943D85B6163E62B8C3BC913927BED70702BE5565ABBDB208FF3DD4DBF5BD00151FBEDC278D3DF4BDA3BDA42657BDB57A7DBDC5B928BE479B593C7E1CBDBDB3CEB4BC7FE0C7BDA319603D877CF53DA7A313BE14A4D5BDF183933D3042663D"> : tensor<8x3x3x3xf32>}> : () -> tensor<8x3x3x3xf32>
    %27 = "tosa.const"() <{values = dense<9.99999974E-6> : tensor<1xf32>}> : () -> tensor<1xf32>
    %28 = "tosa.const"() <{values = dense<5.000000e-01> : tensor<1xf32>}> : () -> tensor<1xf32>
    %29 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32> : tensor<1x8x1x1xf32>}> : () -> tensor<1x8x1x1xf32>
    %30 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_2> : tensor<1x8x1x1xf32>}> : () -> tensor<1x8x1x1xf32>
    %31 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_3> : tensor<1x8x1x1xf32>}> : () -> tensor<1x8x1x1xf32>
    %32 = "tosa.const"() <{values = dense<3.000000e+00> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %33 = "tosa.const"() <{values = dense<0.166666672> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %34 = "tosa.const"() <{values = dense<[[[[0.04910044], [-0.150567979], [-0.174457952], [-0.317040622], [0.0826737136], [-0.148313403], [0.114123747], [0.189489365]], [[-0.103686213], [-0.140648961], [-0.0102531519], [0.285104841], [-0.312241644], [0.0943242311], [0.096938014], [0.125150248]], [[0.0912704095], [0.290661871], [-0.0920779332], [0.119666062], [-0.25594002], [0.271154851], [-0.100694142], [-0.0706461295]]], [[[0.308070153], [0.174129456], [-0.1119022], [0.184365913], [0.187629387], [-0.31957233], [0.00806220434], [-0.109705925]], [[0.018201828], [-0.171415895], [-0.165240735], [0.145405099], [0.0427401885], [0.0894806832], [-0.294343472], [-0.241177961]], [[-0.228460595], [0.0133037567], [-0.16162841], [-0.127143115], [0.219863743], [-2.569630e-01], [-0.217432424], [0.171565771]]], [[[0.308241367], [0.0683712214], [-0.157072514], [-0.209350795], [0.296903551], [-0.265003622], [0.00682008266], [-0.234320849]], [[0.23987639], [0.0881163329], [0.131348014], [-0.227220148], [0.202631205], [0.12061584], [-0.0764142722], [0.103346787]], [[-0.0318148136], [-0.0188584328], [-0.281813741], [-0.0210353546], [-0.0708395243], [0.169560954], [-0.0518186502], [-0.060603898]]]]> : tensor<3x3x8x1xf32>}> : () -> tensor<3x3x8x1xf32>
    %35 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %36 = "tosa.const"() <{values = dense<6.000000e+00> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %37 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_5> : tensor<1x8x1x1xf32>}> : () -> tensor<1x8x1x1xf32>
    %38 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_7> : tensor<1x8x1x1xf32>}> : () -> tensor<1x8x1x1xf32>
    %39 = "tosa.const"() <{values = dense_resource<torch_tensor_8_torch.float32_8> : tensor<1x8x1x1xf32>}> : () -> tensor<1x8x1x1xf32>
    %40 = "tosa.const"() <{values = dense<0.0204081628> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %41 = tosa.const_shape  {values = dense<[1, 1, 1, 8]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %42 = "tosa.const"() <{values = dense<[[[[0.191591397, 0.172118291, -0.0815718099, 0.125249267, -0.059395317, -2.657110e-01, 0.233986109, -9.252750e-02]]], [[[-0.0519417338, 0.346435696, 0.342373878, -0.263176411, -0.0926186665, 0.200207472, 0.219132081, -0.258223534]]], [[[-0.257171959, 0.148152158, -0.241410151, 0.25469476, -0.270592332, -0.207294807, 0.137844265, 0.193939939]]], [[[-0.124300621, -0.204625264, 0.135488495, 0.113942526, 0.0906610712, -0.326008528, -0.106598526, -0.12968652]]]]> : tensor<4x1x1x8xf32>}> : () -> tensor<4x1x1x8xf32>
    %43 = tosa.const_shape  {values = dense<[1, 4, 1, 1]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %44 = tosa.const_shape  {values = dense<[1, 1, 1, 4]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %45 = "tosa.const"() <{values = dense<[[[[0.191766858, 0.28140986, -0.495242357, 0.0205990672]]], [[[0.39402765, -0.326235831, 0.311011255, -0.0713202953]]], [[[0.450075567, -0.429676175, 0.0877125859, 0.36289984]]], [[[0.361872852, -0.250043094, -0.408712626, 0.0109724402]]], [[[-0.241842031, 0.315490067, -0.259379327, 0.0528079271]]], [[[-0.437494516, -0.00148993731, 0.438368976, 0.265036225]]], [[[0.211359382, -0.293727279, 0.427384973, -0.24930203]]], [[[0.459669888, -0.413022935, -0.246711612, -0.152225792]]]]> : tensor<8x1x1x4xf32>}> : () -> tensor<8x1x1x4xf32>
    %46 = "tosa.const"() <{values = dense<"0x8EBCD33D104EE6BD4011ECBC18E2B63D166EBE3C23C4F0BDFB9FD63D0EBE80BDBB76B7BD4091653D8C2620BEAB5E8C3D6B75A23D00F445BC6BB3783C56009F3C3835E6BD2B608C3C1A52273E4027253E3EB6C8BDD6879B3BD4B018BE487B24BEEB4284BC8B5CF4BDA650743DC0A2AF3D3EF4DF3D165BE6BC6C20293E9EFDD0BD9E4DAE3DBB265ABD98E7BE3D27C219BE9C161F3E6635E53D9EFCA13D4E96083E2B120A3D7F7509BE0BA4A73C7684883DDB38BCBDA66981BDF06D28BD5B9117BED22B20BE2A4B113EBC36213EA8DD03BE0BC108BDBFCF22BE08B619BED7FD26BE5B2615BD7CD7083EBB64133E4EDA8FBDD61051BCF65109BDD3BDE53DEB9DE3BC504447BDCB133B3D3607D2BC961A7A3D96673B3DC64EB1BD106B54BD4626C83D9E3018BEAB3655BD54F80DBE4BDA563D9E27AE3D56FE783CB04250BD28B1D73DA09A6D3D16CB563C76CC693D38CC15BE8B03603DEBE4A5BCFB00DEBD96BD2FBC1CA91CBEEB805C3CD64B043CF0FC17BDF858E4BD5B7CB1BD86C5B9BD74CC1ABEEBE8A3BC38AB0F3EFBEA54BD002410BD5E4DA53D161C233C56FE053CD3290C3EBBE821BD30B2AA3D274006BE2B34B13C00C5BABB6CE51A3EB097E9BDCF250CBE0F421E3E96CBA7BD26BBAEBDF0D985BD7B22493DFB36753D10249D3D4CD81E3EC79E033E6C3D29BECABB1E3E53030B3EE4E306BE3B6DFFBDE3DAB03D2F8D0FBE48C0B63D14B31CBE10B393BD3FAE253EA68C033EA6A903BE2B47C9BDC0E8B8BD88DF9C3DF0E286BD8361B23DC0CA92BD4B62C7BC448914BEAEC6CCBD288F1DBE1EBC0E3EE8B6C23DA06E7A3D9B391EBD3A9F063E6CBC1ABEEE4D253EDB672BBDAB06223E027F29BE3BE8F2BD8810C23D76284B3D7BBF1A3EDE7BA53D80377F3D66EE85BDEB9A0BBE1E3088BDA086AB3DABDEC63DA69F163DC664D9BDAACB033EEBC332BDB769243E561910BCAB58BA3D121321BE0B152E3D90F0D63D78E586BDCE58BABD6B43A7BCC0770BBEAB93AA3CFBC1013E80FE8EBDA8420FBEFB212C3D38D9D23D1017DA3DFB47A63DC08A4D3DC3D2EFBDC33D03BEBE70D73D56FDEF3C56B935BA622D13BE48C2A4BD58F0DFBD937E8D3D7602A13C0B2BEC3CAB3BA53B16F5633DF678EC3C1B58D73D9B11DA3D008AEBBA2B4F553D8BECD2BCF3F601BEC03959BCCBECDABDE615843DA041433DD39D8A3DDB353C3D8B2ED8BDD38695BD5811A3BD56BF123D0BA0D2BC6CFC203E96F1DEBDB61DE53C84C716BE4B416ABDD0CAA63DC01AE33D830FA4BD3078C8BDB8E0F53DD64B4EBC0B03D03C4B65033D14F610BED052EC3DCB291BBE5B8E9E3DC010053E804B57BC68090CBE60E3AEBDA642C43D666A133E1695293DCB79293DE6C9113D40F26D3C404C4A3D4BCF373DB8EAF13D7B6C7ABDFE968ABD93628F3D6014DD3C80397C3D3B5D2DBDF359F43D47F323BE6098923DBE3DE8BDCF620B3E8B411FBE5696D5BD96E083BCAB0C313BBF0E0E3E00E00EBBB0E9CABD8BAA0EBE8823B83D327027BE1679993CDB75A03DCFDD203E60099D3DDBA0743D4B75853D4360B73D80DFCFBC2BB7063CF0769F3DC0AC3C3D6E4AFABDAB7AAA3B6BC37CBDBB9136BD4E99C83D8B60DCBCFE5E903D"> : tensor<8x3x3x4xf32>}> : () -> tensor<8x3x3x4xf32>
    %47 = "tosa.const"() <{values = dense<1.000000e-01> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %48 = "tosa.const"() <{values = dense<"0xBE8D2A3E24A6FE3DA4D95C3E2CDA49BEB01337BD3E014EBEDA35203EBAC9693E3040A8BC70E9E6BD10A271BD90DE553E649F06BE062949BEA8FE773E9CC5F43DF4653CBE5084863D9057AE3C1001733E529A463ECAC203BE7CB5CCBD004DD83D68972DBEE66D69BE88E2C63DE4FF573E862628BE6258113EF80401BD9CA6F93DB8354EBDCE30753E982712BEF0A931BD20E72BBE0C153C3E687D413E06272C3E7CDB99BDA6447FBE08A406BDC09376BD481F753DB070A2BCF6CB343E7AA218BE4CE5A33D189E47BEC099103E964F23BE484375BDC07BC03DBE6604BE282A293DA0CF4EBE10B4653D708AF13D3CF7E5BD00CD99BAD440B03D8455E63DD4E8B8BD20A1053EA006D3BC6E8272BE48BEDF3D5843D33D1CF757BED8334B3DE44D8F3D787C52BD10EA3DBD0C32A4BD40FA8C3D04669FBDB44B403E404FB3BCBAF5573E502AE63DF6EC7ABE406B3A3DD0EB553DA89941BE44BEBE3D940DB93D38D83E3DEAAB653EFC543DBE226D6C3E70989DBC6A267EBEE85C3BBE5CAE17BEAA1554BE923D2D3E12567F3E7C8B38BE1C0CD1BDC27872BEC2027EBEA0551B3CF034683E982751BEE81F20BD8AE72D3EC67F4BBE20AC623E40F7E63CF8D7893D18436EBDE018133ED60B0ABEE0C713BC583FAE3D5822C3BDF4E715BEE8F4A93D4C995F3E9C9306BE441E66BE5C4225BE9C077DBE507B8CBDA0D0C93DF23E04BE6CE8B93D1C9A30BE38C8003E18AAB0BD9820B43D28C55E3D28FC1D3DF89EE63D8433B43D70C14BBE148E0C3E7CE85EBE48B832BE30B2C43D844DC1BDA4179F3D24796DBE6C5ECB3DEAB21B3E6842DCBD1450D03D1C5A853D4097D6BC4E9667BE00042B3A884CD8BD7E77263E8040EF3DEAEA383ED0804FBEB0F1263E54F654BEECF470BE80DE283D5CE992BDBCF5CEBDC07C20BE408515BE76A526BED2140F3E80A72FBE8216203E90F6F1BC1A2557BE4066183C8C2352BEB09E503EC06A10BD6093F73D2A4A53BE9C1C1CBE6400863D56A55EBE200E7FBDF0AA283D14B4B53D3AAE093E52381C3E805125BC78E3793E400EE43CF6232C3E74B10BBE98BFA0BD587FFEBD9487253EEC09533E8CC08A3D88AD10BD884D6CBDA8535A3D349FF9BD66C804BE504E7C3E30DD903C0EA065BE54DA0ABE38AA44BE580B35BD6E6B3CBE56B6573E3ED11B3EDEA57D3ECE1952BEEC2E70BEDE1875BE30733F3E56D5493EB047963C588DC03D0009CF3C9669153EAC17EFBD0096033CA04FB63DB4F552BE48D82A3E687B29BE206DFABCC408773ED089553D407AC43BB8A758BD6078673DF2AA1A3E7A9B5C3EC0AF5A3C60FF3DBC8CCF903D90052C3D624C04BE4472C2BD60AA4F3E40F226BC60B1F3BC84CB233EFA2E79BE50F7CCBCD4176C3E186033BEC87CC0BDE8D1EDBDC8AAE4BD0807773D0C9C473EE0D2293D924F7FBE24FFA8BDCE9E3ABE"> : tensor<4x2x2x16xf32>}> : () -> tensor<4x2x2x16xf32>
    %49 = "tosa.const"() <{values = dense<0.166666672> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %50 = "tosa.const"() <{values = dense<[[[0.353873372, 0.0312014818, 0.321933091, 0.402194977, -0.10860914], [0.137201309, -0.333261847, -0.128983855, 0.250140131, -0.416871965], [0.245788038, 0.163493454, -0.275461137, -0.322375298, 0.14535135], [-0.227805853, -0.00552386045, 0.413000822, -0.289861202, 0.339478254]]]> : tensor<1x4x5xf32>}> : () -> tensor<1x4x5xf32>
    %51 = "tosa.const"() <{values = dense_resource<torch_tensor_5_torch.float32> : tensor<1x5xf32>}> : () -> tensor<1x5xf32>
    %52 = tosa.pad %arg0, %8, %9 : (tensor<1x3x12x12xf32>, !tosa.shape<8>, tensor<1xf32>) -> tensor<1x3x13x13xf32>
    %53 = tosa.transpose %52 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x3x13x13xf32>) -> tensor<1x13x13x3xf32>
    %54 = tosa.conv2d %53, %26, %10, %9, %9 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 2, 2>} : (tensor<1x13x13x3xf32>, tensor<8x3x3x3xf32>, tensor<8xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x7x7x8xf32>
    %55 = tosa.transpose %54 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x7x7x8xf32>) -> tensor<1x8x7x7xf32>
    %56 = tosa.add %27, %7 : (tensor<1xf32>, tensor<8xf32>) -> tensor<8xf32>
    %57 = tosa.pow %56, %28 : (tensor<8xf32>, tensor<1xf32>) -> tensor<8xf32>
    %58 = tosa.reciprocal %57 : (tensor<8xf32>) -> tensor<8xf32>
    %59 = tosa.sub %55, %29 : (tensor<1x8x7x7xf32>, tensor<1x8x1x1xf32>) -> tensor<1x8x7x7xf32>
    %60 = tosa.reshape %58, %12 : (tensor<8xf32>, !tosa.shape<4>) -> tensor<1x8x1x1xf32>
    %61 = tosa.mul %59, %60, %11 : (tensor<1x8x7x7xf32>, tensor<1x8x1x1xf32>, tensor<1xi8>) -> tensor<1x8x7x7xf32>
    %62 = tosa.mul %61, %30, %11 : (tensor<1x8x7x7xf32>, tensor<1x8x1x1xf32>, tensor<1xi8>) -> tensor<1x8x7x7xf32>
    %63 = tosa.add %62, %31 : (tensor<1x8x7x7xf32>, tensor<1x8x1x1xf32>) -> tensor<1x8x7x7xf32>
    %64 = tosa.add %63, %32 : (tensor<1x8x7x7xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x7x7xf32>
    %65 = tosa.clamp %64 {max_val = 6.000000e+00 : f32, min_val = 0.000000e+00 : f32} : (tensor<1x8x7x7xf32>) -> tensor<1x8x7x7xf32>
    %66 = tosa.mul %63, %65, %11 : (tensor<1x8x7x7xf32>, tensor<1x8x7x7xf32>, tensor<1xi8>) -> tensor<1x8x7x7xf32>
    %67 = tosa.mul %66, %33, %11 : (tensor<1x8x7x7xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x7x7xf32>
    %68 = tosa.transpose %67 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x8x7x7xf32>) -> tensor<1x7x7x8xf32>
    %69 = tosa.depthwise_conv2d %68, %34, %6, %9, %9 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x7x7x8xf32>, tensor<3x3x8x1xf32>, tensor<8xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x7x7x8xf32>
    %70 = tosa.transpose %69 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x7x7x8xf32>) -> tensor<1x8x7x7xf32>
    %71 = tosa.maximum %70, %35 : (tensor<1x8x7x7xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x7x7xf32>
    %72 = tosa.minimum %71, %36 : (tensor<1x8x7x7xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x7x7xf32>
    %73 = tosa.add %27, %5 : (tensor<1xf32>, tensor<8xf32>) -> tensor<8xf32>
    %74 = tosa.pow %73, %28 : (tensor<8xf32>, tensor<1xf32>) -> tensor<8xf32>
    %75 = tosa.reciprocal %74 : (tensor<8xf32>) -> tensor<8xf32>
    %76 = tosa.sub %72, %37 : (tensor<1x8x7x7xf32>, tensor<1x8x1x1xf32>) -> tensor<1x8x7x7xf32>
    %77 = tosa.reshape %75, %12 : (tensor<8xf32>, !tosa.shape<4>) -> tensor<1x8x1x1xf32>
    %78 = tosa.mul %76, %77, %11 : (tensor<1x8x7x7xf32>, tensor<1x8x1x1xf32>, tensor<1xi8>) -> tensor<1x8x7x7xf32>
    %79 = tosa.mul %78, %38, %11 : (tensor<1x8x7x7xf32>, tensor<1x8x1x1xf32>, tensor<1xi8>) -> tensor<1x8x7x7xf32>
    %80 = tosa.add %79, %39 : (tensor<1x8x7x7xf32>, tensor<1x8x1x1xf32>) -> tensor<1x8x7x7xf32>
    %81 = tosa.reduce_sum %80 {axis = 3 : i32} : (tensor<1x8x7x7xf32>) -> tensor<1x8x7x1xf32>
    %82 = tosa.reduce_sum %81 {axis = 2 : i32} : (tensor<1x8x7x1xf32>) -> tensor<1x8x1x1xf32>
    %83 = tosa.mul %82, %40, %11 : (tensor<1x8x1x1xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x1x1xf32>
    %84 = tosa.reshape %83, %41 : (tensor<1x8x1x1xf32>, !tosa.shape<4>) -> tensor<1x1x1x8xf32>
    %85 = tosa.conv2d %84, %42, %4, %9, %9 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x1x1x8xf32>, tensor<4x1x1x8xf32>, tensor<4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x1x4xf32>
    %86 = tosa.reshape %85, %43 : (tensor<1x1x1x4xf32>, !tosa.shape<4>) -> tensor<1x4x1x1xf32>
    %87 = tosa.clamp %86 {max_val = 3.40282347E+38 : f32, min_val = 0.000000e+00 : f32} : (tensor<1x4x1x1xf32>) -> tensor<1x4x1x1xf32>
    %88 = tosa.reshape %87, %44 : (tensor<1x4x1x1xf32>, !tosa.shape<4>) -> tensor<1x1x1x4xf32>
    %89 = tosa.conv2d %88, %45, %3, %9, %9 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x1x1x4xf32>, tensor<8x1x1x4xf32>, tensor<8xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x1x8xf32>
    %90 = tosa.reshape %89, %12 : (tensor<1x1x1x8xf32>, !tosa.shape<4>) -> tensor<1x8x1x1xf32>
    %91 = tosa.sigmoid %90 : (tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
    %92 = tosa.mul %80, %91, %11 : (tensor<1x8x7x7xf32>, tensor<1x8x1x1xf32>, tensor<1xi8>) -> tensor<1x8x7x7xf32>
    %93 = tosa.add %67, %92 : (tensor<1x8x7x7xf32>, tensor<1x8x7x7xf32>) -> tensor<1x8x7x7xf32>
    %94 = tosa.transpose %93 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x8x7x7xf32>) -> tensor<1x7x7x8xf32>
    %95 = tosa.slice %94, %16, %13 : (tensor<1x7x7x8xf32>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x7x7x4xf32>
    %96 = tosa.slice %46, %16, %14 : (tensor<8x3x3x4xf32>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<4x3x3x4xf32>
    %97 = tosa.slice %2, %17, %15 : (tensor<8xf32>, !tosa.shape<1>, !tosa.shape<1>) -> tensor<4xf32>
    %98 = tosa.conv2d %95, %96, %97, %9, %9 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x7x7x4xf32>, tensor<4x3x3x4xf32>, tensor<4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x7x7x4xf32>
    %99 = tosa.slice %94, %18, %13 : (tensor<1x7x7x8xf32>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x7x7x4xf32>
    %100 = tosa.slice %46, %19, %14 : (tensor<8x3x3x4xf32>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<4x3x3x4xf32>
    %101 = tosa.slice %2, %15, %15 : (tensor<8xf32>, !tosa.shape<1>, !tosa.shape<1>) -> tensor<4xf32>
    %102 = tosa.conv2d %99, %100, %101, %9, %9 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x7x7x4xf32>, tensor<4x3x3x4xf32>, tensor<4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x7x7x4xf32>
    %103 = tosa.concat %98, %102 {axis = 3 : i32} : (tensor<1x7x7x4xf32>, tensor<1x7x7x4xf32>) -> tensor<1x7x7x8xf32>
    %104 = tosa.transpose %103 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x7x7x8xf32>) -> tensor<1x8x7x7xf32>
    %105 = tosa.sigmoid %104 : (tensor<1x8x7x7xf32>) -> tensor<1x8x7x7xf32>
    %106 = tosa.mul %104, %105, %11 : (tensor<1x8x7x7xf32>, tensor<1x8x7x7xf32>, tensor<1xi8>) -> tensor<1x8x7x7xf32>
    %107 = tosa.maximum %93, %35 : (tensor<1x8x7x7xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x7x7xf32>
    %108 = tosa.minimum %93, %35 : (tensor<1x8x7x7xf32>, tensor<1x1x1x1xf32>) -> tensor<1x8x7x7xf32>
    %109 = tosa.mul %108, %47, %11 : (tensor<1x8x7x7xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<1x8x7x7xf32>
    %110 = tosa.add %107, %109 : (tensor<1x8x7x7xf32>, tensor<1x8x7x7xf32>) -> tensor<1x8x7x7xf32>
    %111 = tosa.concat %106, %110 {axis = 1 : i32} : (tensor<1x8x7x7xf32>, tensor<1x8x7x7xf32>) -> tensor<1x16x7x7xf32>
    %112 = tosa.transpose %111 {perms = array<i32: 0, 2, 3, 1>} : (tensor<1x16x7x7xf32>) -> tensor<1x7x7x16xf32>
    %113 = tosa.slice %112, %16, %20 : (tensor<1x7x7x16xf32>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x6x6x16xf32>
    %114 = tosa.avg_pool2d %113, %9, %9 {acc_type = f32, kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x6x6x16xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x3x3x16xf32>
    %115 = tosa.transpose_conv2d %114, %48, %1, %9, %9 {acc_type = f32, out_pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x3x3x16xf32>, tensor<4x2x2x16xf32>, tensor<4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x6x6x4xf32>
    %116 = tosa.max_pool2d %115 {kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : (tensor<1x6x6x4xf32>) -> tensor<1x3x3x4xf32>
    %117 = tosa.transpose %116 {perms = array<i32: 0, 3, 1, 2>} : (tensor<1x3x3x4xf32>) -> tensor<1x4x3x3xf32>
    %118 = tosa.greater %117, %35 : (tensor<1x4x3x3xf32>, tensor<1x1x1x1xf32>) -> tensor<1x4x3x3xi1>
    %119 = tosa.mul %0, %117, %11 : (tensor<1x1x1x1xf32>, tensor<1x4x3x3xf32>, tensor<1xi8>) -> tensor<1x4x3x3xf32>
    %120 = tosa.select %118, %117, %119 : (tensor<1x4x3x3xi1>, tensor<1x4x3x3xf32>, tensor<1x4x3x3xf32>) -> tensor<1x4x3x3xf32>
    %121 = tosa.slice %120, %16, %21 : (tensor<1x4x3x3xf32>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x4x2x3xf32>
    %122 = tosa.tanh %117 : (tensor<1x4x3x3xf32>) -> tensor<1x4x3x3xf32>
    %123 = tosa.slice %122, %22, %21 : (tensor<1x4x3x3xf32>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x4x2x3xf32>
    %124 = tosa.sub %121, %123 : (tensor<1x4x2x3xf32>, tensor<1x4x2x3xf32>) -> tensor<1x4x2x3xf32>
    %125 = tosa.reduce_sum %124 {axis = 2 : i32} : (tensor<1x4x2x3xf32>) -> tensor<1x4x1x3xf32>
    %126 = tosa.reduce_sum %125 {axis = 3 : i32} : (tensor<1x4x1x3xf32>) -> tensor<1x4x1x1xf32>
    %127 = tosa.reshape %126, %23 : (tensor<1x4x1x1xf32>, !tosa.shape<2>) -> tensor<1x4xf32>
    %128 = tosa.mul %127, %49, %11 : (tensor<1x4xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<1x4xf32>
    %129 = tosa.reshape %128, %24 : (tensor<1x4xf32>, !tosa.shape<3>) -> tensor<1x1x4xf32>
    %130 = tosa.matmul %129, %50, %9, %9 : (tensor<1x1x4xf32>, tensor<1x4x5xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x5xf32>
    %131 = tosa.reshape %130, %25 : (tensor<1x1x5xf32>, !tosa.shape<2>) -> tensor<1x5xf32>
    %132 = tosa.add %131, %51 : (tensor<1x5xf32>, tensor<1x5xf32>) -> tensor<1x5xf32>
    %133 = tosa.reduce_max %132 {axis = 1 : i32} : (tensor<1x5xf32>) -> tensor<1x1xf32>
    %134 = tosa.sub %132, %133 : (tensor<1x5xf32>, tensor<1x1xf32>) -> tensor<1x5xf32>
    %135 = tosa.exp %134 : (tensor<1x5xf32>) -> tensor<1x5xf32>
    %136 = tosa.reduce_sum %135 {axis = 1 : i32} : (tensor<1x5xf32>) -> tensor<1x1xf32>
    %137 = tosa.reciprocal %136 : (tensor<1x1xf32>) -> tensor<1x1xf32>
    %138 = tosa.mul %135, %137, %11 : (tensor<1x5xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<1x5xf32>
    return %138 : tensor<1x5xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      torch_tensor_4_torch.float32_1: "0x040000003093B3BDB4CA0C3EAA194EBE802A6B3C",
      torch_tensor_8_torch.float32_10: "0x04000000EC13013EAB17E23D779407BE20379E3C1A1710BE043210BEF393E6BD13A88A3D",
      torch_tensor_8_torch.float32_9: "0x04000000C881AB3D4C2B8B3E00F7DA3D04AE3FBE56E4CBBED0D015BE087272BEDA6B9ABE",
      torch_tensor_4_torch.float32: "0x04000000BC956F3B812EA23E167083BE23829ABB",
      torch_tensor_8_torch.float32_6: "0x040000004C6A1D3F1A39313FAE44613F400BAA3FCCD64D3F8C51823F9941593F3A21863F",
      torch_tensor_8_torch.float32_4: "0x04000000CCE0843E5EC959BEA00F5FBE4B9B1D3DD678203C7BD212BE1E74AA3E840792BE",
      torch_tensor_8_torch.float32_1: "0x04000000A3682D3F40667C3F7E564C3F38AFBF3F5ADA703F401B8F3FEE5E333F7FB1823F",
      torch_tensor_8_torch.float32: "0x04000000916850BEE7AA20BE7313C03E76C6BE3D8268983E8C5F4BBDFFFF3ABDB47A04BE",
      torch_tensor_8_torch.float32_2: "0x04000000D5EE893F9255A03FB0EA573FF21B873FECBD9E3FCDFED83F94B28E3F6721E43F",
      torch_tensor_8_torch.float32_3: "0x040000000000000000000000000000000000000000000000000000000000000000000000",
      torch_tensor_8_torch.float32_5: "0x04000000F3A726BFAAA6C5BE49655B3E6D69D73E802D123CBD4EDE3D05DDDA3DE7ABB13E",
      torch_tensor_8_torch.float32_7: "0x040000009414FB3F1A57A33F06723F3FC8631A3FCC4A673F82AAF33FD607693F494B083F",
      torch_tensor_8_torch.float32_8: "0x040000000000000000000000000000000000000000000000000000000000000000000000",
      torch_tensor_5_torch.float32: "0x04000000F4FAD33E58672BBEFAD3B8BEE053DCBE00FF92BB"
    }
  }
#-}

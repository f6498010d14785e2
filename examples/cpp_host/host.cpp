// Runs a network that tvm.compile exported, without Python: README.md beside this file.
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

using namespace tvm::ffi;

static std::string ReadFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  TVM_FFI_CHECK(file, RuntimeError) << path << ": cannot be read";
  return std::string(std::istreambuf_iterator<char>(file), {});
}

static uint32_t Crc(uint32_t crc, const TensorView& x) {  // CRC-32 as of zlib
  const auto* data = static_cast<const uint8_t*>(x.data_ptr());
  crc = ~crc;
  for (size_t i = 0; i < GetDataSize(x); ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

// What `zeroskip.run` gave in Python: the outputs, by the CRC of program and inputs.
struct Table {
  std::map<uint64_t, std::string> outputs;

  explicit Table(const char* path) {  // records: CRC, size, bytes; the numbers 64-bit little-endian
    std::string file = ReadFile(path);
    for (size_t at = 0, head[2]; at + sizeof head <= file.size(); at += sizeof head + head[1]) {
      std::memcpy(head, &file[at], sizeof head);
      outputs[head[0]] = file.substr(at + sizeof head, head[1]);
    }
  }

  void operator()(PackedArgs args, Any*) const {  // program, inputs..., outputs...
    uint32_t crc = 0;
    auto found = outputs.end();
    int out = 0;
    while (out < args.size() && found == outputs.end()) {
      crc = Crc(crc, args[out++].cast<TensorView>());
      found = outputs.find(crc);
    }
    TVM_FFI_CHECK(found != outputs.end(), RuntimeError) << "no run with these inputs was recorded";
    size_t at = 0;
    for (; out < args.size(); ++out) {
      TensorView y = args[out].cast<TensorView>();
      TVM_FFI_CHECK(at + GetDataSize(y) <= found->second.size(), RuntimeError) << "a record is cut short";
      std::memcpy(y.data_ptr(), &found->second[at], GetDataSize(y));
      at += GetDataSize(y);
    }
  }
};

struct Allocator {
  void AllocData(DLTensor* x) { x->data = std::aligned_alloc(64, (GetDataSize(*x) + 63) / 64 * 64); }
  void FreeData(DLTensor* x) { std::free(x->data); }
};

int main(int argc, char** argv) try {
  TVM_FFI_CHECK(argc > 5, RuntimeError) << "use: host NET.so NET.table X.bin Y.bin SIZE...";
  Function::SetGlobal("zeroskip.run", Function::FromPacked(Table(argv[2])));

  Module library = Module::LoadFromFile(std::filesystem::absolute(argv[1]).string());
  Module vm = library->GetFunction("vm_load_executable").value()().cast<Module>();
  vm->GetFunction("vm_initialization").value()(int(kDLCPU), 0, 2);  // 2: a pool of memory

  std::vector<int64_t> sizes;
  for (int i = 5; i < argc; ++i) sizes.push_back(std::atoll(argv[i]));
  Tensor x = Tensor::FromNDAlloc(Allocator(), Shape(sizes), {kDLFloat, 32, 1}, {kDLCPU, 0});
  std::string image = ReadFile(argv[3]);
  TVM_FFI_CHECK(image.size() == GetDataSize(x), RuntimeError) << argv[3] << ": not of these sizes";
  std::memcpy(x.data_ptr(), image.data(), image.size());

  Tensor y = vm->GetFunction("main").value()(x).cast<Tensor>();
  std::ofstream(argv[4], std::ios::binary).write(static_cast<char*>(y.data_ptr()), GetDataSize(y));
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}

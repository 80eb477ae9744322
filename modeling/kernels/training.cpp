// The memory-bound steps of training on a processor, each in as few passes over an activation as it takes.
//
// Activations are [N, C, H, W] with the channels innermost, in float or bfloat16; index `i` counts their elements in
// memory, `c` the channels. Sums are taken in float over blocks of rows, which are added up in double.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

using at::BFloat16;
using at::Tensor;

#define FLOAT_OR_BFLOAT16(TYPE, NAME, ...) \
  AT_DISPATCH_SWITCH(TYPE, NAME, AT_DISPATCH_CASE(at::kFloat, __VA_ARGS__) AT_DISPATCH_CASE(at::kBFloat16, __VA_ARGS__))

namespace {

// Bit operations, which compilers vectorise; the library's own conversions are calls.
inline float load(const float* p) { return *p; }
inline float load(const BFloat16* p) {
  const uint32_t bits = static_cast<uint32_t>(p->x) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
inline void store(float* p, float value) { *p = value; }
inline void store(BFloat16* p, float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  p->x = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);  // to the nearest, ties to even
}

Tensor channels_last(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

template <typename T>
T* data(Tensor& x) { return x.mutable_data_ptr<T>(); }
template <typename T>
const T* data(const Tensor& x) { return x.const_data_ptr<T>(); }

// An activation as rows of channels. Rows of few channels are taken several at a time, as a row of so many times more.
struct Rows {
  int64_t pixels, channels, repeats = 1;

  explicit Rows(const Tensor& x) : pixels(x.numel() / x.size(1)), channels(x.size(1)) {
    while (repeats < 16 && 2 * repeats * channels <= 512 && pixels % (2 * repeats) == 0) repeats *= 2;
  }
  int64_t count() const { return pixels / repeats; }
  int64_t width() const { return channels * repeats; }

  // A value of each channel, so often that there is one for each element of a row.
  std::vector<float> spread(std::vector<float> values) const {
    values.resize(width());
    for (int64_t c = channels; c < width(); ++c) values[c] = values[c - channels];
    return values;
  }
};

constexpr int64_t kRowsPerBlock = 256;

// Calls visit(i, c) for each element.
template <typename Visit>
void each_element(const Rows& rows, const Visit& visit) {
  const int64_t width = rows.width();
  at::parallel_for(0, rows.count(), kRowsPerBlock, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
#pragma omp simd
      for (int64_t c = 0; c < width; ++c) visit(row * width + c, c);
    }
  });
}

// Sums, for each channel, what visit(i, c) returns for its elements: a pair of numbers.
template <typename Visit>
std::vector<std::pair<double, double>> sums(const Rows& rows, const Visit& visit) {
  const int64_t width = rows.width(), threads = at::get_num_threads();
  std::vector<double> firsts(threads * width, 0.0), seconds(threads * width, 0.0);
  const int64_t share = std::max(kRowsPerBlock, (rows.count() + threads - 1) / threads);
  at::parallel_for(0, rows.count(), share, [&](int64_t begin, int64_t end) {
    std::vector<float> block(2 * width);
    float *first = block.data(), *second = first + width;
    double *to_first = firsts.data() + at::get_thread_num() * width;
    double *to_second = seconds.data() + at::get_thread_num() * width;
    for (int64_t start = begin; start < end; start += kRowsPerBlock) {
      std::fill(block.begin(), block.end(), 0.0f);
      for (int64_t row = start; row < std::min(end, start + kRowsPerBlock); ++row) {
#pragma omp simd
        for (int64_t c = 0; c < width; ++c) {
          const auto values = visit(row * width + c, c);
          first[c] += values.first;
          second[c] += values.second;
        }
      }
      for (int64_t c = 0; c < width; ++c) {
        to_first[c] += first[c];
        to_second[c] += second[c];
      }
    }
  });
  std::vector<std::pair<double, double>> totals(rows.channels);
  for (int64_t c = 0; c < threads * width; ++c) {
    totals[c % rows.channels].first += firsts[c];
    totals[c % rows.channels].second += seconds[c];
  }
  return totals;
}

// Height and width of an activation whose rows and columns are looked at.
struct Plane {
  int64_t images, channels, height, width;

  explicit Plane(const Tensor& x) : images(x.size(0)), channels(x.size(1)), height(x.size(2)), width(x.size(3)) {}
};

// Calls visit(i, row, column) for each element; `row` and `column` are where its channel is in tensors of
// [N, C, H, 1] and [N, C, 1, W].
template <typename Visit>
void each_of_plane(const Plane& plane, const Visit& visit) {
  const auto [images, channels, height, width] = plane;
  at::parallel_for(0, images * height, 1, [&, channels = channels, height = height, width = width](auto begin, auto end) {
    for (int64_t line = begin; line < end; ++line)
      for (int64_t w = 0; w < width; ++w) {
        const int64_t pixel = (line * width + w) * channels, row = line * channels;
        const int64_t column = (line / height * width + w) * channels;
#pragma omp simd
        for (int64_t c = 0; c < channels; ++c) visit(pixel + c, row + c, column + c);
      }
  });
}

// Sums along the width and along the height what visit(i, row, column) returns: what is for the one and for the other.
template <typename T, typename Visit>
void sum_of_plane(const Plane& plane, T* by_row, T* by_column, float row_scale, float column_scale, const Visit& visit) {
  const int64_t channels = plane.channels, height = plane.height, width = plane.width;
  at::parallel_for(0, plane.images, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> row_sums(channels), column_sums(width * channels);
    for (int64_t image = begin; image < end; ++image) {
      std::fill(column_sums.begin(), column_sums.end(), 0.0f);
      for (int64_t line = image * height; line < (image + 1) * height; ++line) {
        std::fill(row_sums.begin(), row_sums.end(), 0.0f);
        for (int64_t w = 0; w < width; ++w) {
          const int64_t pixel = (line * width + w) * channels, column = (image * width + w) * channels;
          float *to_row = row_sums.data(), *to_column = column_sums.data() + w * channels;
#pragma omp simd
          for (int64_t c = 0; c < channels; ++c) {
            const auto values = visit(pixel + c, line * channels + c, column + c);
            to_row[c] += values.first;
            to_column[c] += values.second;
          }
        }
        for (int64_t c = 0; c < channels; ++c) store(by_row + line * channels + c, row_sums[c] * row_scale);
      }
      T* to = by_column + image * width * channels;
      for (int64_t c = 0; c < width * channels; ++c) store(to + c, column_sums[c] * column_scale);
    }
  });
}

// Between which values a batch normalisation's result is left as it is.
std::pair<float, float> bounds(bool clamps) {
  return clamps ? std::pair(0.0f, 6.0f) : std::pair(-INFINITY, INFINITY);
}

}  // namespace

// Batch normalisation, and ReLU6 behind it where it `clamps`; running statistics follow. Returns the result and, for
// the gradient, each channel's mean and the inverse of its standard deviation.
std::vector<Tensor> normalise(const Tensor& input, const Tensor& weight, const Tensor& bias, Tensor running_mean,
                              Tensor running_var, double momentum, double epsilon, bool clamps) {
  const Tensor x = channels_last(input);
  const Rows rows(x);
  const int64_t count = rows.pixels;
  TORCH_CHECK(count > 1, "a single pixel has no variance");
  Tensor y = at::empty_like(x), mean = at::empty({rows.channels}, at::kFloat), inverse = at::empty_like(mean);
  const auto [low, high] = bounds(clamps);
  FLOAT_OR_BFLOAT16(x.scalar_type(), "normalise", [&, low = low, high = high] {
    const scalar_t* from = data<scalar_t>(x);
    scalar_t* to = data<scalar_t>(y);
    // Squares are of the distance to the first pixel: those of values far from 0 would cancel each other out.
    std::vector<float> first_pixel(rows.channels);
    for (int64_t c = 0; c < rows.channels; ++c) first_pixel[c] = load(from + c);
    const auto all_origins = rows.spread(first_pixel);
    const float* origin = all_origins.data();
    const auto totals = sums(rows, [=](int64_t i, int64_t c) {
      const float value = load(from + i) - origin[c];
      return std::pair(value, value * value);
    });
    std::vector<float> scales(rows.channels), shifts(rows.channels);
    for (int64_t c = 0; c < rows.channels; ++c) {
      const double distance = totals[c].first / count, average = origin[c] + distance;
      const double variance = std::max(0.0, totals[c].second / count - distance * distance);
      data<float>(mean)[c] = average;
      data<float>(inverse)[c] = 1 / std::sqrt(variance + epsilon);
      scales[c] = data<float>(weight)[c] * data<float>(inverse)[c];
      shifts[c] = data<float>(bias)[c] - average * scales[c];
      float &kept_mean = data<float>(running_mean)[c], &kept_var = data<float>(running_var)[c];
      kept_mean += momentum * (average - kept_mean);
      kept_var += momentum * (variance * count / (count - 1) - kept_var);
    }
    const auto all_scales = rows.spread(scales), all_shifts = rows.spread(shifts);
    const float *scale = all_scales.data(), *shift = all_shifts.data();
    each_element(rows, [=](int64_t i, int64_t c) {
      store(to + i, std::min(std::max(load(from + i) * scale[c] + shift[c], low), high));
    });
  });
  return {y, mean, inverse};
}

// Returns the gradients of the input, the weight and the bias.
std::vector<Tensor> normalise_backward(const Tensor& gradient, const Tensor& input, const Tensor& mean,
                                       const Tensor& inverse, const Tensor& weight, const Tensor& bias, bool clamps) {
  const Tensor x = channels_last(input), g = channels_last(gradient.to(input.scalar_type()));
  const Rows rows(x);
  Tensor of_x = at::empty_like(x), of_weight = at::empty_like(weight), of_bias = at::empty_like(bias);
  const auto [low, high] = bounds(clamps);
  FLOAT_OR_BFLOAT16(x.scalar_type(), "normalise_backward", [&, low = low, high = high] {
    const scalar_t *from = data<scalar_t>(x), *gradients = data<scalar_t>(g);
    scalar_t* to = data<scalar_t>(of_x);
    std::vector<float> scales(rows.channels), shifts(rows.channels), factors(rows.channels), terms(rows.channels);
    for (int64_t c = 0; c < rows.channels; ++c) {
      scales[c] = data<float>(weight)[c] * data<float>(inverse)[c];
      shifts[c] = data<float>(bias)[c] - data<float>(mean)[c] * scales[c];
    }
    const auto all_scales = rows.spread(scales), all_shifts = rows.spread(shifts);
    const auto all_means = rows.spread({data<float>(mean), data<float>(mean) + rows.channels});
    const float *scale = all_scales.data(), *shift = all_shifts.data(), *average = all_means.data();
    // The gradient that passes the clamp; what lies between the bounds is computed again rather than kept.
    const auto passed = [=](int64_t i, int64_t c, float value) {
      const float result = value * scale[c] + shift[c];
      return load(gradients + i) * static_cast<float>((result > low) & (result < high));
    };
    const auto totals = sums(rows, [=](int64_t i, int64_t c) {
      const float value = load(from + i), down = passed(i, c, value);
      return std::pair(down, down * (value - average[c]));
    });
    for (int64_t c = 0; c < rows.channels; ++c) {
      const double deviation = data<float>(inverse)[c];
      data<float>(of_bias)[c] = totals[c].first;
      data<float>(of_weight)[c] = totals[c].second * deviation;
      factors[c] = -scales[c] * deviation * deviation * totals[c].second / rows.pixels;
      terms[c] = -scales[c] * totals[c].first / rows.pixels - factors[c] * data<float>(mean)[c];
    }
    const auto all_factors = rows.spread(factors), all_terms = rows.spread(terms);
    const float *factor = all_factors.data(), *term = all_terms.data();
    each_element(rows, [=](int64_t i, int64_t c) {
      const float value = load(from + i);
      store(to + i, passed(i, c, value) * scale[c] + value * factor[c] + term[c]);
    });
  });
  return {of_x, of_weight, of_bias};
}

// Coordinate Attention, equations 4 and 5: means along the width, [N, C, H, 1], and along the height, [N, C, 1, W].
std::vector<Tensor> pool(const Tensor& input) {
  const Tensor x = channels_last(input);
  const Plane plane(x);
  const auto options = x.options().memory_format(at::MemoryFormat::ChannelsLast);
  Tensor by_row = at::empty({plane.images, plane.channels, plane.height, 1}, options);
  Tensor by_column = at::empty({plane.images, plane.channels, 1, plane.width}, options);
  FLOAT_OR_BFLOAT16(x.scalar_type(), "pool", [&] {
    const scalar_t* from = data<scalar_t>(x);
    const float of_width = 1.0f / plane.width, of_height = 1.0f / plane.height;
    const auto visit = [=](int64_t i, int64_t, int64_t) { return std::pair(load(from + i), load(from + i)); };
    sum_of_plane(plane, data<scalar_t>(by_row), data<scalar_t>(by_column), of_width, of_height, visit);
  });
  return {by_row, by_column};
}

// Returns the gradient of what was pooled.
Tensor pool_backward(const Tensor& row_gradient, const Tensor& column_gradient) {
  const Tensor rows = channels_last(row_gradient), columns = channels_last(column_gradient);
  const auto options = rows.options().memory_format(at::MemoryFormat::ChannelsLast);
  Tensor of_x = at::empty({rows.size(0), rows.size(1), rows.size(2), columns.size(3)}, options);
  const Plane plane(of_x);
  FLOAT_OR_BFLOAT16(rows.scalar_type(), "pool_backward", [&] {
    const scalar_t *by_row = data<scalar_t>(rows), *by_column = data<scalar_t>(columns);
    scalar_t* to = data<scalar_t>(of_x);
    const float of_width = 1.0f / plane.width, of_height = 1.0f / plane.height;
    each_of_plane(plane, [=](int64_t i, int64_t row, int64_t column) {
      store(to + i, load(by_row + row) * of_width + load(by_column + column) * of_height);
    });
  });
  return of_x;
}

// Coordinate Attention, equation 9: times a gate for each row, [N, C, H, 1], and for each column, [N, C, 1, W].
Tensor gate(const Tensor& input, const Tensor& row_gate, const Tensor& column_gate) {
  const Tensor x = channels_last(input), rows = channels_last(row_gate), columns = channels_last(column_gate);
  Tensor y = at::empty_like(x);
  FLOAT_OR_BFLOAT16(x.scalar_type(), "gate", [&] {
    const scalar_t *from = data<scalar_t>(x), *by_row = data<scalar_t>(rows), *by_column = data<scalar_t>(columns);
    scalar_t* to = data<scalar_t>(y);
    each_of_plane(Plane(x), [=](int64_t i, int64_t row, int64_t column) {
      store(to + i, load(from + i) * load(by_row + row) * load(by_column + column));
    });
  });
  return y;
}

// Returns the gradients of the input and of both gates.
std::vector<Tensor> gate_backward(const Tensor& gradient, const Tensor& input, const Tensor& row_gate,
                                  const Tensor& column_gate) {
  const Tensor x = channels_last(input), rows = channels_last(row_gate), columns = channels_last(column_gate);
  const Tensor g = channels_last(gradient.to(x.scalar_type()));
  Tensor of_x = at::empty_like(x), of_rows = at::empty_like(rows), of_columns = at::empty_like(columns);
  FLOAT_OR_BFLOAT16(x.scalar_type(), "gate_backward", [&] {
    const scalar_t *from = data<scalar_t>(x), *by_row = data<scalar_t>(rows), *by_column = data<scalar_t>(columns);
    const scalar_t* gradients = data<scalar_t>(g);
    scalar_t* to = data<scalar_t>(of_x);
    const auto visit = [=](int64_t i, int64_t row, int64_t column) {
      const float down = load(gradients + i), of_row = load(by_row + row), of_column = load(by_column + column);
      const float product = down * load(from + i);
      store(to + i, down * of_row * of_column);
      return std::pair(product * of_column, product * of_row);
    };
    sum_of_plane(Plane(x), data<scalar_t>(of_rows), data<scalar_t>(of_columns), 1.0f, 1.0f, visit);
  });
  return {of_x, of_rows, of_columns};
}

TORCH_LIBRARY(coordserve, library) {
  library.def("normalise", &normalise);
  library.def("normalise_backward", &normalise_backward);
  library.def("pool", &pool);
  library.def("pool_backward", &pool_backward);
  library.def("gate", &gate);
  library.def("gate_backward", &gate_backward);
}

module headrace-benchmarks/proxy

go 1.24.0

"""The wire of CoordServe's own service: `classifier.proto` and the stubs that `make proto` generates from it."""

# The image of `consumer`: one static program, no shell, not root.
#   docker build -f docker/consumer.Dockerfile -t firstcome/consumer .
# Written without a Docker engine at hand: the build commands below were run as they stand, outside of a container.

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules' files first, so that a change of the source does not fetch them again. GOWORK=off, because the image needs
# two of the workspace's modules; each go.mod finds its neighbours by its replace lines.
COPY core/go.mod core/go.sum core/
COPY consumer/go.mod consumer/go.sum consumer/
RUN cd consumer && GOWORK=off go mod download
COPY core core
COPY consumer consumer
COPY docker/probe docker/probe
RUN cd consumer && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/consumer ./cmd/consumer \
 && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/probe ../docker/probe/main.go

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /
# Inside a container loopback is nobody else's; who may reach the ports is decided where they are published.
ENV FIRSTCOME_OPS_ADDR=0.0.0.0:9081
EXPOSE 9081
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["/probe", "http://127.0.0.1:9081/readyz"]
ENTRYPOINT ["/consumer"]

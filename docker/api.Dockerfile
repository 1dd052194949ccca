# The image of `api`: one static program, no shell, not root.
#   docker build -f docker/api.Dockerfile -t firstcome/api .
# Written without a Docker engine at hand: the build commands below were run as they stand, outside of a container.

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules' files first, so that a change of the source does not fetch them again. GOWORK=off, because the image needs
# two of the workspace's modules; each go.mod finds its neighbours by its replace lines.
COPY core/go.mod core/go.sum core/
COPY api/go.mod api/go.sum api/
RUN cd api && GOWORK=off go mod download
COPY core core
COPY api api
COPY docker/probe docker/probe
RUN cd api && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/api ./cmd/api \
 && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/probe ../docker/probe/main.go

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /
# Inside a container loopback is nobody else's; who may reach the ports is decided where they are published.
ENV FIRSTCOME_HTTP_ADDR=0.0.0.0:8080 FIRSTCOME_OPS_ADDR=0.0.0.0:9080
EXPOSE 8080 9080
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["/probe", "http://127.0.0.1:9080/readyz"]
ENTRYPOINT ["/api"]

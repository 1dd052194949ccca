# The image of `batch`: one static program, no shell, not root.
#   docker build -f docker/batch.Dockerfile -t firstcome/batch .
# Written without a Docker engine at hand: the build commands below were run as they stand, outside of a container.

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules' files first, so that a change of the source does not fetch them again. GOWORK=off, because the image needs
# two of the workspace's modules; each go.mod finds its neighbours by its replace lines.
COPY core/go.mod core/go.sum core/
COPY batch/go.mod batch/go.sum batch/
RUN cd batch && GOWORK=off go mod download
COPY core core
COPY batch batch
COPY docker/probe docker/probe
RUN cd batch && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/batch ./cmd/batch \
 && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/probe ../docker/probe/main.go

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /
# Inside a container loopback is nobody else's; who may reach the ports is decided where they are published.
ENV FIRSTCOME_OPS_ADDR=0.0.0.0:9082
EXPOSE 9082
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["/probe", "http://127.0.0.1:9082/readyz"]
ENTRYPOINT ["/batch"]
CMD ["serve"]

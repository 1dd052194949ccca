# The image of `standalone`: the whole product in one process, on embedded servers. For trying it out.
#   docker build -f docker/standalone.Dockerfile -t firstcome/standalone .
#   docker run -p 127.0.0.1:8080:8080 -v firstcome-data:/data firstcome/standalone
# Written without a Docker engine at hand: the build commands below were run as they stand, outside of a container.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY core/go.mod core/go.sum core/
COPY api/go.mod api/go.sum api/
COPY consumer/go.mod consumer/go.sum consumer/
COPY batch/go.mod batch/go.sum batch/
COPY standalone/go.mod standalone/go.sum standalone/
RUN cd standalone && GOWORK=off go mod download
COPY core core
COPY api api
COPY consumer consumer
COPY batch batch
COPY standalone standalone
COPY docker/probe docker/probe
RUN cd standalone && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/standalone ./cmd/standalone \
 && GOWORK=off CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/probe ../docker/probe/main.go \
 && mkdir /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build --chown=65532:65532 /out/ /
ENV FIRSTCOME_HTTP_ADDR=0.0.0.0:8080 FIRSTCOME_OPS_ADDR=0.0.0.0:9080 FIRSTCOME_STANDALONE_DATA_DIR=/data
EXPOSE 8080 9080
VOLUME /data
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["/probe", "http://127.0.0.1:9080/readyz"]
ENTRYPOINT ["/standalone"]
CMD ["run"]

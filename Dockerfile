# docker build -t eyeline . && docker run --rm -p 9688:9688/udp -p 9688:9688/tcp eyeline
# sends the test picture and tone to whoever dials this machine. With a camera, and a key, as Docker's proxy makes strangers look
# like this machine (README, Security):
#   docker run --rm -p 9688:9688/udp -p 9688:9688/tcp --device /dev/video0 -e EYELINE_KEY eyeline --no-audio
FROM rust:1-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends pkg-config cmake make nasm libclang1-14 libasound2-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /eyeline
COPY . .
RUN cargo build --release --locked --bins

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libasound2 libx11-6 libx11-xcb1 libxcursor1 ffmpeg \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --groups video,audio eyeline
COPY --from=build /eyeline/target/release/send /eyeline/target/release/recv /eyeline/target/release/call /usr/local/bin/
USER eyeline
EXPOSE 9688/udp 9688/tcp
ENTRYPOINT ["send"]
CMD ["--test"]

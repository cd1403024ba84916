"""An RTSP 1.0 server (RFC 2326) for one stream: a sink whose viewers come and go."""

/* A server that takes uploads and forgets them, as fast as the machine reads: with TLS if it is given a certificate.
 *
 *     upload_sink FD [CERTIFICATE_AND_KEY.pem]
 *
 * FD is a listening socket. Each connection has a thread. Each PUT is answered with 206, the one with the last byte
 * with 201. Python's own sockets would be the bottleneck under TLS.
 */
#define _GNU_SOURCE
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES = 16384, BODY_BYTES = 1 << 20 };

static SSL_CTX *tls;

typedef struct {
    int fd;
    SSL *ssl;
} Peer;

static long receive(Peer *peer, char *buffer, long room) {
    if (peer->ssl)
        return SSL_read(peer->ssl, buffer, (int)room);
    return read(peer->fd, buffer, (size_t)room);
}

static int answer(Peer *peer, const char *text) {
    int length = (int)strlen(text);
    if (peer->ssl)
        return SSL_write(peer->ssl, text, length) == length;
    return write(peer->fd, text, (size_t)length) == length;
}

static const char *header(const char *head, const char *name) {
    const char *found = strcasestr(head, name);
    return found ? found + strlen(name) : NULL;
}

/* Read one request and answer it; 0 when the connection has ended. */
static int take_request(Peer *peer, char *body) {
    char head[HEAD_BYTES + 1];
    long filled = 0;
    char *end = NULL;
    while (!end) {
        long got = receive(peer, head + filled, HEAD_BYTES - filled);
        if (got <= 0)
            return 0;
        filled += got;
        head[filled] = 0;
        end = strstr(head, "\r\n\r\n");
    }
    end[2] = 0;
    const char *length = header(head, "\r\ncontent-length:");
    const char *range = header(head, "\r\ncontent-range:");
    if (!length || !range)
        return 0;
    if (header(head, "\r\nexpect:") && !answer(peer, "HTTP/1.1 100 Continue\r\n\r\n"))
        return 0;
    long long first, last, total, left = atoll(length) - (filled - (end + 4 - head));
    if (sscanf(range, " bytes %lld-%lld/%lld", &first, &last, &total) != 3)
        return 0;
    while (left > 0) {
        long got = receive(peer, body, left < BODY_BYTES ? (long)left : BODY_BYTES);
        if (got <= 0)
            return 0;
        left -= got;
    }
    return answer(peer, last + 1 == total ? "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
                                          : "HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\n\r\n");
}

static void *serve(void *given) {
    Peer *peer = given;
    char *body = malloc(BODY_BYTES);
    if (tls) {
        peer->ssl = SSL_new(tls);
        SSL_set_fd(peer->ssl, peer->fd);
    }
    if (body && (!peer->ssl || SSL_accept(peer->ssl) == 1))
        while (take_request(peer, body))
            ;
    SSL_free(peer->ssl);
    close(peer->fd);
    free(body);
    free(peer);
    return NULL;
}

int main(int count, char **arguments) {
    int listener = count > 1 ? atoi(arguments[1]) : -1;
    signal(SIGPIPE, SIG_IGN);
    if (count > 2) {
        tls = SSL_CTX_new(TLS_server_method());
        if (!tls || SSL_CTX_use_certificate_chain_file(tls, arguments[2]) != 1 ||
            SSL_CTX_use_PrivateKey_file(tls, arguments[2], SSL_FILETYPE_PEM) != 1)
            return 2;
    }
    for (;;) {
        Peer *peer = calloc(1, sizeof *peer);
        pthread_t thread;
        if (!peer || (peer->fd = accept(listener, NULL, NULL)) < 0)
            return 1;
        if (pthread_create(&thread, NULL, serve, peer))
            return 1;
        pthread_detach(thread);
    }
}

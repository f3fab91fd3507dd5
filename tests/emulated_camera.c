/*
 * A V4L2 camera that is not there, for tests: an LD_PRELOAD library that answers the system calls a program makes on
 * /dev/video0 (a camera) and /dev/video1 (its metadata node), as the V4L2 specification says a driver does. The program
 * under test, its capture library and all their mistakes are real.
 *
 *     cc -O2 -shared -fPIC -o emulated_camera.so emulated_camera.c -ldl -lpthread
 *     LD_PRELOAD=./emulated_camera.so EMUCAM_JPEGS=dir program
 *
 * MJPEG pictures are dir/WIDTHxHEIGHT/0000.jpg and on, for ever. YUYV and NV12 are a pattern: luma (x + y) & 255, blue
 * chroma 90, red 160. Buffers keep what an older picture left in them, as a real driver's do.
 *
 *     EMUCAM_NODES=n          how many of the two nodes there are (default 2)
 *     EMUCAM_FORMATS=A,B      the fourccs it offers (default MJPG,YUYV,H264)
 *     EMUCAM_RATES=30/1,...   the rates it offers, but YUYV above 640x480, which has 5 (default 30/1,30000/1001,15/2)
 *     EMUCAM_STEPWISE=1       offers sizes and rates in steps
 *     EMUCAM_CURRENT=H264     the format it was left in;  EMUCAM_CURRENT_RATE=30000/1001  and the rate
 *     EMUCAM_PAD=bytes        padding behind every row;  EMUCAM_HIDE_STRIDE=1  and the driver does not say so
 *     EMUCAM_OPEN_ERRNO=e     opening fails;  EMUCAM_BUSY=1  somebody else streams
 *     EMUCAM_UNPLUG_AT=n      from picture n on the device is gone;  EMUCAM_REPLUG=1  it is back once everybody closed it
 *     EMUCAM_UNPLUG_WHEN=file it is gone once this file exists
 *     EMUCAM_REPLUG_WHEN=file it is back once this file exists;  EMUCAM_MOVE=n  as /dev/videoN and the node after it
 *     EMUCAM_STALL_AT=n       no picture after n until the stream is stopped, once;  EMUCAM_STALLS=k  k times
 *     EMUCAM_HANG_AT=n        after picture n waiting never returns, not even for a signal
 *     EMUCAM_FAIL_AT=n EMUCAM_FAIL_ERRNO=e   the first buffer asked for after picture n fails with e, once
 *     EMUCAM_FAIL_FROM=n      every buffer asked for after picture n fails with EIO
 *     EMUCAM_DAMAGE_EVERY=n   every nth picture is cut to a third, and flagged
 *     EMUCAM_STAMP_MS=m       added to every time stamp
 *     EMUCAM_CONTROLS=0       exposure, focus and zoom cannot be set;  EMUCAM_FORGETS=1  they are as at first in each new stream
 *     EMUCAM_REFUSES=name     setting this control fails with EIO
 *     EMUCAM_REFUSES_WHEN=path    ... only while this file is there
 *     EMUCAM_REPORT=file      a line for each thing worth knowing: open, streamon, streamoff, close, hangs, and each control that is
 *                             set (auto_exposure N, exposure N, dynamic_framerate N, focus N, auto_focus N, zoom N)
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
#define FAIL(code) do { errno = (code); return -1; } while (0)
#define MAX_FDS 32
#define MAX_BUFFERS 32
#define MAX_JPEGS 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- settings ---- */

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

static unsigned fourcc(const char *name) { return v4l2_fourcc(name[0], name[1], name[2], name[3]); }

/* The nth item of a comma-separated list, or NULL. */
static const char *item(const char *list, unsigned n) {
    while (n-- && list) {
        list = strchr(list, ',');
        if (list) list++;
    }
    return list && *list ? list : NULL;
}

static const char *setting(const char *name, const char *otherwise) {
    const char *text = getenv(name);
    return text ? text : otherwise;
}

static const char *formats(void) { return setting("EMUCAM_FORMATS", "MJPG,YUYV,H264"); }
static const char *rates(void) { return setting("EMUCAM_RATES", "30/1,30000/1001,15/2"); }

static const unsigned sizes[][2] = {{640, 480}, {1280, 720}, {1920, 1080}};

/* ---- the real system ---- */

static long system_call(long n, long a, long b, long c, long d, long e, long f) {
    static long (*real)(long, ...);
    if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return real(n, a, b, c, d, e, f);
}

static void report(const char *what, int value) {
    const char *path = getenv("EMUCAM_REPORT");
    if (!path) return;
    char line[80];
    int length = value < 0 ? snprintf(line, sizeof line, "%s\n", what) : snprintf(line, sizeof line, "%s %d\n", what, value);
    int fd = system_call(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_APPEND, 0644, 0, 0);
    if (fd < 0) return;
    system_call(SYS_write, fd, (long)line, length, 0, 0, 0);
    system_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* ---- the device ---- */

static struct { int fd, node; } handles[MAX_FDS]; /* node + 1; 0 is free */
static int memory = -1;                           /* what the buffers are mapped from */
static int owner = -1;                            /* the fd that asked for buffers */

static unsigned width = 640, height = 480, format, rate_n = 30, rate_d = 1;
static int buffers, streaming, ready;
static size_t buffer_size;
static unsigned char *mapped;
static int queued[MAX_BUFFERS], queued_n, done[MAX_BUFFERS], done_n;
static struct v4l2_buffer meta[MAX_BUFFERS];
static double next_at;
static unsigned sequence;
static int stalls, failed_once, replugged, deaf_once;

static unsigned char *jpegs[MAX_JPEGS];
static size_t jpeg_length[MAX_JPEGS];
static int jpeg_count;

static void start_up(void) {
    if (ready) return;
    ready = 1;
    format = fourcc(setting("EMUCAM_CURRENT", formats()));
    sscanf(setting("EMUCAM_CURRENT_RATE", "30/1"), "%u/%u", &rate_n, &rate_d);
    memory = memfd_create("emulated-camera", 0);
}

static void load_jpegs(void) {
    const char *directory = getenv("EMUCAM_JPEGS");
    while (jpeg_count) free(jpegs[--jpeg_count]);
    for (int i = 0; directory && i < MAX_JPEGS; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%ux%u/%04d.jpg", directory, width, height, i);
        FILE *file = fopen(path, "rb");
        if (!file) return;
        fseek(file, 0, SEEK_END);
        jpeg_length[i] = ftell(file);
        rewind(file);
        jpegs[i] = malloc(jpeg_length[i]);
        if (fread(jpegs[i], 1, jpeg_length[i], file) != jpeg_length[i]) jpeg_length[i] = 0;
        fclose(file);
        jpeg_count++;
    }
}

static unsigned line_bytes(void) {
    unsigned pad = number("EMUCAM_PAD", 0);
    return format == V4L2_PIX_FMT_YUYV ? width * 2 + pad : format == V4L2_PIX_FMT_NV12 ? width + pad : 0;
}

static size_t image_bytes(void) {
    if (format == V4L2_PIX_FMT_NV12) return (size_t)line_bytes() * (height + (height + 1) / 2);
    return format == V4L2_PIX_FMT_YUYV ? (size_t)line_bytes() * height : (size_t)width * height * 2;
}

static struct control {
    unsigned id, type;
    const char *name, *reported;
    long min, max, step, initial, value;
    unsigned automatic; /* it can be set only while this control has its least value, or 1 of a menu */
} controls[] = {
    {V4L2_CID_BRIGHTNESS, V4L2_CTRL_TYPE_INTEGER, "Brightness", "brightness", 0, 255, 1, 128, 128},
    {V4L2_CID_EXPOSURE_AUTO, V4L2_CTRL_TYPE_MENU, "Auto Exposure", "auto_exposure", 0, 3, 1, 3, 3},
    {V4L2_CID_EXPOSURE_ABSOLUTE, V4L2_CTRL_TYPE_INTEGER, "Exposure Time, Absolute", "exposure", 3, 2047, 1, 250, 250,
     V4L2_CID_EXPOSURE_AUTO},
    {V4L2_CID_EXPOSURE_AUTO_PRIORITY, V4L2_CTRL_TYPE_BOOLEAN, "Exposure, Dynamic Framerate", "dynamic_framerate", 0, 1, 1, 0, 1},
    {V4L2_CID_FOCUS_ABSOLUTE, V4L2_CTRL_TYPE_INTEGER, "Focus, Absolute", "focus", 0, 250, 5, 0, 0, V4L2_CID_FOCUS_AUTO},
    {V4L2_CID_FOCUS_AUTO, V4L2_CTRL_TYPE_BOOLEAN, "Focus, Automatic Continuous", "auto_focus", 0, 1, 1, 1, 1},
    {V4L2_CID_ZOOM_ABSOLUTE, V4L2_CTRL_TYPE_INTEGER, "Zoom, Absolute", "zoom", 100, 500, 1, 100, 100},
};

static void forget_controls(void) {
    for (int i = 0; i < COUNT(controls); i++) controls[i].value = controls[i].initial;
}

static struct control *control(unsigned id) {
    int count = number("EMUCAM_CONTROLS", 1) ? COUNT(controls) : 1;
    for (int i = 0; i < count; i++)
        if (controls[i].id == id) return &controls[i];
    return NULL;
}

static int exists(const char *name) {
    const char *file = getenv(name);
    return file && !system_call(SYS_faccessat, AT_FDCWD, (long)file, F_OK, 0, 0, 0);
}

/* As a UVC camera's driver. */
static int set_control(struct control *c, long value) {
    struct control *automatic = c->automatic ? control(c->automatic) : NULL;
    if (c->type == V4L2_CTRL_TYPE_MENU && value != 1 && value != 3) FAIL(EINVAL);
    if (value < c->min || value > c->max) FAIL(ERANGE);
    if (automatic && automatic->value != (automatic->type == V4L2_CTRL_TYPE_MENU)) FAIL(EACCES);
    int refuses = !getenv("EMUCAM_REFUSES_WHEN") || exists("EMUCAM_REFUSES_WHEN");
    if (refuses && !strcmp(setting("EMUCAM_REFUSES", ""), c->reported)) FAIL(EIO);
    c->value = value;
    report(c->reported, value);
    return 0;
}

static int past(const char *name) {
    int at = number(name, 0);
    return at && sequence >= (unsigned)at;
}

static int unplugged(void) {
    if (replugged || !(past("EMUCAM_UNPLUG_AT") || exists("EMUCAM_UNPLUG_WHEN"))) return 0;
    for (int i = 0; i < MAX_FDS; i++)
        if (handles[i].node) return 1;
    replugged = exists("EMUCAM_REPLUG_WHEN");
    if (replugged) forget_controls();
    return !replugged;
}
static int first_node(void) { return replugged ? number("EMUCAM_MOVE", 0) : 0; }
static int stalled(void) { return past("EMUCAM_STALL_AT") && stalls < number("EMUCAM_STALLS", 1); }
static int hangs(void) { return past("EMUCAM_HANG_AT"); }

static size_t draw(unsigned char *to) {
    unsigned line = line_bytes();
    if (format == V4L2_PIX_FMT_MJPEG) {
        if (!jpeg_count) return 0;
        int which = sequence % jpeg_count;
        size_t length = jpeg_length[which] < buffer_size ? jpeg_length[which] : buffer_size;
        memcpy(to, jpegs[which], length);
        return length;
    }
    for (unsigned y = 0; y < height; y++)
        for (unsigned x = 0; x < width; x++) {
            if (format == V4L2_PIX_FMT_YUYV) {
                to[y * line + x * 2] = x + y;
                to[y * line + x * 2 + 1] = x & 1 ? 160 : 90;
            } else {
                to[y * line + x] = x + y;
                to[(height + y / 2) * line + x] = x & 1 ? 160 : 90;
            }
        }
    return image_bytes();
}

static void fill(int buffer, double at) {
    unsigned char *bytes = mapped + buffer_size * buffer;
    struct v4l2_buffer *m = &meta[buffer];
    int every = number("EMUCAM_DAMAGE_EVERY", 0);
    memset(m, 0, sizeof *m);
    m->bytesused = draw(bytes);
    m->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | V4L2_BUF_FLAG_TSTAMP_SRC_SOE | V4L2_BUF_FLAG_DONE;
    if (every && sequence % every == (unsigned)every - 1) {
        unsigned whole = m->bytesused;
        m->flags |= V4L2_BUF_FLAG_ERROR;
        m->bytesused = whole / 3;
        memset(bytes + whole / 3, 0, buffer_size - whole / 3);
    }
    at += number("EMUCAM_STAMP_MS", 0) / 1e3;
    m->sequence = sequence;
    m->timestamp.tv_sec = (long)at;
    m->timestamp.tv_usec = (at - (long)at) * 1e6;
}

/* Makes the pictures that are due. */
static void tick(void) {
    double time = now();
    while (streaming && next_at <= time && !unplugged() && !stalled() && !hangs()) {
        if (queued_n) {
            int buffer = queued[0];
            memmove(queued, queued + 1, --queued_n * sizeof *queued);
            fill(buffer, next_at);
            done[done_n++] = buffer;
        }
        sequence++;
        next_at += (double)rate_d / rate_n;
    }
}

static void stream_off(void) {
    if (streaming) report("streamoff", -1);
    if (streaming && stalled()) stalls++;
    streaming = queued_n = done_n = 0;
}

/* ---- ioctls ---- */

static int query_capabilities(struct v4l2_capability *c, int node) {
    memset(c, 0, sizeof *c);
    strcpy((char *)c->driver, "emucam");
    strcpy((char *)c->card, "Emulated Camera");
    strcpy((char *)c->bus_info, "preload");
    c->device_caps = V4L2_CAP_STREAMING | (node ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE);
    c->capabilities = V4L2_CAP_STREAMING | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_META_CAPTURE | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

static int enumerate_formats(struct v4l2_fmtdesc *f) {
    const char *name = item(formats(), f->index);
    if (f->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || !name) FAIL(EINVAL);
    f->pixelformat = fourcc(name);
    f->flags = f->pixelformat == V4L2_PIX_FMT_MJPEG || f->pixelformat == V4L2_PIX_FMT_H264 ? V4L2_FMT_FLAG_COMPRESSED : 0;
    snprintf((char *)f->description, sizeof f->description, "%.4s", name);
    return 0;
}

static int enumerate_sizes(struct v4l2_frmsizeenum *f) {
    if (number("EMUCAM_STEPWISE", 0)) {
        if (f->index) FAIL(EINVAL);
        f->type = V4L2_FRMSIZE_TYPE_STEPWISE;
        f->stepwise = (struct v4l2_frmsize_stepwise){32, 1920, 16, 32, 1080, 8};
        return 0;
    }
    if (f->index >= (unsigned)COUNT(sizes)) FAIL(EINVAL);
    f->type = V4L2_FRMSIZE_TYPE_DISCRETE;
    f->discrete.width = sizes[f->index][0];
    f->discrete.height = sizes[f->index][1];
    return 0;
}

static int enumerate_rates(struct v4l2_frmivalenum *f) {
    if (number("EMUCAM_STEPWISE", 0)) {
        if (f->index) FAIL(EINVAL);
        f->type = V4L2_FRMIVAL_TYPE_STEPWISE;
        f->stepwise.min = (struct v4l2_fract){1, 60};
        f->stepwise.max = (struct v4l2_fract){1, 1};
        f->stepwise.step = (struct v4l2_fract){1, 1};
        return 0;
    }
    const char *rate = item(f->pixel_format == V4L2_PIX_FMT_YUYV && f->width > 640 ? "5/1" : rates(), f->index);
    if (!rate) FAIL(EINVAL);
    f->type = V4L2_FRMIVAL_TYPE_DISCRETE;
    if (sscanf(rate, "%u/%u", &f->discrete.denominator, &f->discrete.numerator) != 2) FAIL(EINVAL);
    return 0;
}

static int get_format(struct v4l2_pix_format *p) {
    memset(p, 0, sizeof *p);
    p->width = width;
    p->height = height;
    p->pixelformat = format;
    p->field = V4L2_FIELD_NONE;
    p->bytesperline = number("EMUCAM_HIDE_STRIDE", 0) ? 0 : line_bytes();
    p->sizeimage = image_bytes();
    p->colorspace = V4L2_COLORSPACE_SRGB;
    return 0;
}

static int set_format(struct v4l2_pix_format *p) {
    if (buffers || number("EMUCAM_BUSY", 0)) FAIL(EBUSY);
    const char *name;
    for (int i = 0; (name = item(formats(), i)); i++)
        if (fourcc(name) == p->pixelformat) format = p->pixelformat;
    if (number("EMUCAM_STEPWISE", 0)) {
        width = p->width;
        height = p->height;
    } else {
        long nearest = -1;
        unsigned w = p->width, h = p->height;
        for (int i = 0; i < COUNT(sizes); i++) {
            long far = labs((long)sizes[i][0] - w) + labs((long)sizes[i][1] - h);
            if (nearest < 0 || far < nearest) nearest = far, width = sizes[i][0], height = sizes[i][1];
        }
    }
    return get_format(p);
}

static int stream_parameters(struct v4l2_captureparm *c, int set) {
    if (set) {
        if (streaming || number("EMUCAM_BUSY", 0)) FAIL(EBUSY);
        unsigned n = c->timeperframe.denominator, d = c->timeperframe.numerator, best_n = 0, best_d = 1, rn, rd;
        double nearest = -1;
        const char *rate;
        for (int i = 0; n && d && (rate = item(rates(), i)) && sscanf(rate, "%u/%u", &rn, &rd) == 2; i++) {
            double far = (double)rn / rd - (double)n / d;
            if (far < 0) far = -far;
            if (nearest < 0 || far < nearest) nearest = far, best_n = rn, best_d = rd;
        }
        if (n && d) rate_n = number("EMUCAM_STEPWISE", 0) ? n : best_n, rate_d = number("EMUCAM_STEPWISE", 0) ? d : best_d;
    }
    c->capability = V4L2_CAP_TIMEPERFRAME;
    c->timeperframe = (struct v4l2_fract){rate_d, rate_n};
    return 0;
}

static int request_buffers(struct v4l2_requestbuffers *r, int fd) {
    if (r->memory != V4L2_MEMORY_MMAP) FAIL(EINVAL);
    if (number("EMUCAM_BUSY", 0) || (buffers && (streaming || owner != fd) && r->count)) FAIL(EBUSY);
    if (r->count == 0) {
        stream_off();
        buffers = 0;
        owner = -1;
        return 0;
    }
    if (format == V4L2_PIX_FMT_MJPEG) load_jpegs();
    buffers = r->count = r->count > MAX_BUFFERS ? MAX_BUFFERS : r->count;
    owner = fd;
    buffer_size = (image_bytes() + 4095) & ~4095UL;
    if (ftruncate(memory, buffer_size * buffers)) FAIL(ENOMEM);
    mapped = (unsigned char *)system_call(SYS_mmap, 0, buffer_size * buffers, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    queued_n = done_n = 0;
    return 0;
}

static int query_buffer(struct v4l2_buffer *b) {
    if ((int)b->index >= buffers) FAIL(EINVAL);
    b->length = image_bytes();
    b->m.offset = buffer_size * b->index;
    b->flags = V4L2_BUF_FLAG_MAPPED;
    return 0;
}

static int queue_buffer(struct v4l2_buffer *b) {
    if ((int)b->index >= buffers) FAIL(EINVAL);
    tick();
    for (int i = 0; i < queued_n; i++)
        if (queued[i] == (int)b->index) FAIL(EINVAL);
    for (int i = 0; i < done_n; i++)
        if (done[i] == (int)b->index) FAIL(EINVAL);
    queued[queued_n++] = b->index;
    return 0;
}

static int dequeue_buffer(struct v4l2_buffer *b) {
    tick();
    if (!streaming) FAIL(EINVAL);
    if (past("EMUCAM_FAIL_FROM")) FAIL(EIO);
    if (past("EMUCAM_FAIL_AT") && !failed_once) {
        failed_once = 1;
        FAIL(number("EMUCAM_FAIL_ERRNO", EIO));
    }
    if (!done_n) FAIL(EAGAIN);
    int buffer = done[0];
    memmove(done, done + 1, --done_n * sizeof *done);
    *b = meta[buffer];
    b->index = buffer;
    b->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    b->memory = V4L2_MEMORY_MMAP;
    b->length = image_bytes();
    b->m.offset = buffer_size * buffer;
    return 0;
}

static int query_control(struct v4l2_query_ext_ctrl *c) {
    unsigned next = c->id & (V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND), id = c->id & V4L2_CTRL_ID_MASK;
    for (int i = 0; i < COUNT(controls); i++) {
        if (!control(controls[i].id) || (next ? controls[i].id <= id : controls[i].id != id)) continue;
        memset(c, 0, sizeof *c);
        c->id = controls[i].id;
        c->type = controls[i].type;
        strcpy(c->name, controls[i].name);
        c->minimum = controls[i].min;
        c->maximum = controls[i].max;
        c->step = controls[i].step;
        c->default_value = controls[i].initial;
        c->elem_size = 4;
        c->elems = 1;
        return 0;
    }
    FAIL(EINVAL);
}

static int exchange_controls(struct v4l2_ext_controls *list, int set) {
    for (unsigned k = 0; k < list->count; k++) {
        struct control *found = control(list->controls[k].id);
        if (!found) FAIL(EINVAL);
        if (!set) list->controls[k].value = found->value;
        else if (set_control(found, list->controls[k].value)) return -1;
    }
    return 0;
}

static int device_ioctl(int fd, int node, unsigned request, void *argument) {
    if (unplugged()) FAIL(ENODEV);
    if (request == VIDIOC_QUERYCAP) return query_capabilities(argument, node);
    if (node) FAIL(request == VIDIOC_ENUM_FMT ? EINVAL : ENOTTY);
    switch (request) {
    case VIDIOC_ENUM_FMT: return enumerate_formats(argument);
    case VIDIOC_ENUM_FRAMESIZES: return enumerate_sizes(argument);
    case VIDIOC_ENUM_FRAMEINTERVALS: return enumerate_rates(argument);
    case VIDIOC_G_FMT: return get_format(&((struct v4l2_format *)argument)->fmt.pix);
    case VIDIOC_S_FMT: return set_format(&((struct v4l2_format *)argument)->fmt.pix);
    case VIDIOC_G_PARM: return stream_parameters(&((struct v4l2_streamparm *)argument)->parm.capture, 0);
    case VIDIOC_S_PARM: return stream_parameters(&((struct v4l2_streamparm *)argument)->parm.capture, 1);
    case VIDIOC_REQBUFS: return request_buffers(argument, fd);
    case VIDIOC_QUERYBUF: return query_buffer(argument);
    case VIDIOC_QBUF: return queue_buffer(argument);
    case VIDIOC_DQBUF: return dequeue_buffer(argument);
    case VIDIOC_STREAMON:
        report("streamon", -1);
        if (number("EMUCAM_FORGETS", 0)) forget_controls();
        streaming = 1;
        next_at = now() + (double)rate_d / rate_n;
        return 0;
    case VIDIOC_STREAMOFF: stream_off(); return 0;
    case VIDIOC_QUERY_EXT_CTRL: return query_control(argument);
    case VIDIOC_G_EXT_CTRLS: return exchange_controls(argument, 0);
    case VIDIOC_S_EXT_CTRLS: return exchange_controls(argument, 1);
    default: FAIL(ENOTTY);
    }
}

/* ---- the calls that are answered here ---- */

static int node_of_path(const char *path) {
    int nodes = number("EMUCAM_NODES", 2);
    for (int i = 0; path && i < nodes; i++) {
        char name[32];
        snprintf(name, sizeof name, "/dev/video%d", first_node() + i);
        if (!strcmp(path, name)) return i;
    }
    return -1;
}

static int node_of_fd(int fd) {
    for (int i = 0; i < MAX_FDS; i++)
        if (handles[i].node && handles[i].fd == fd) return handles[i].node - 1;
    return -1;
}

static int open_node(int node) {
    int error = number("EMUCAM_OPEN_ERRNO", 0), fd = -1;
    if (error) FAIL(error);
    pthread_mutex_lock(&lock);
    start_up();
    if (unplugged()) errno = ENODEV;
    else fd = system_call(SYS_dup, memory, 0, 0, 0, 0, 0);
    for (int i = 0; fd >= 0 && i < MAX_FDS; i++)
        if (!handles[i].node) {
            handles[i].fd = fd;
            handles[i].node = node + 1;
            report("open", node);
            break;
        }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name)                                                           \
    int name(const char *path, int flags, ...) {                             \
        va_list rest;                                                        \
        va_start(rest, flags);                                               \
        int mode = va_arg(rest, int), node = node_of_path(path);             \
        va_end(rest);                                                        \
        if (node >= 0) return open_node(node);                               \
        return system_call(SYS_openat, AT_FDCWD, (long)path, flags, mode, 0, 0); \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAX_FDS; i++) {
        if (!handles[i].node || handles[i].fd != fd) continue;
        report("close", handles[i].node - 1);
        handles[i].node = 0;
        if (owner == fd) {
            stream_off();
            buffers = 0;
            owner = -1;
        }
    }
    int held = 0;
    for (int i = 0; i < MAX_FDS; i++) held |= handles[i].node;
    if (!held && unplugged() && number("EMUCAM_REPLUG", 0)) replugged = 1, forget_controls();
    pthread_mutex_unlock(&lock);
    return system_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

static int answer(int fd, unsigned request, void *argument) {
    pthread_mutex_lock(&lock);
    int node = node_of_fd(fd), result = device_ioctl(fd, node, request, argument), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (node_of_fd(fd) >= 0) return answer(fd, request, argument);
    return system_call(SYS_ioctl, fd, request, (long)argument, 0, 0, 0);
}

long syscall(long n, ...) {
    va_list rest;
    va_start(rest, n);
    long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long);
    long d = va_arg(rest, long), e = va_arg(rest, long), f = va_arg(rest, long);
    va_end(rest);
    if (n == SYS_ioctl && node_of_fd(a) >= 0) return answer(a, b, (void *)c);
    return system_call(n, a, b, c, d, e, f);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {
    static int (*real)(struct pollfd *, nfds_t, int);
    if (!real) real = (int (*)(struct pollfd *, nfds_t, int))dlsym(RTLD_NEXT, "poll");
    if (count != 1 || node_of_fd(fds->fd) < 0) return real(fds, count, timeout);
    double end = now() + timeout / 1e3;
    for (;;) {
        pthread_mutex_lock(&lock);
        tick();
        if (hangs() && !done_n && !deaf_once) deaf_once = 1, report("hangs", -1);
        int any = done_n > 0, gone = unplugged(), uninterruptible = hangs(), off = !streaming;
        int fails = past("EMUCAM_FAIL_FROM") || (past("EMUCAM_FAIL_AT") && !failed_once);
        pthread_mutex_unlock(&lock);
        fds->revents = gone || off ? POLLERR : any || fails ? POLLIN : 0;
        if (gone || off || any || fails) return 1;
        if (timeout >= 0 && now() >= end) return 0;
        struct timespec step = {0, 1000000};
        if (nanosleep(&step, NULL) < 0 && errno == EINTR && !uninterruptible) return -1;
    }
}

/* /dev loses the nodes it has, and gets ours as its last entries. */
static DIR *dev;
static int dev_given;

DIR *opendir(const char *path) {
    static DIR *(*real)(const char *);
    if (!real) real = (DIR *(*)(const char *))dlsym(RTLD_NEXT, "opendir");
    DIR *directory = real(path);
    if (directory && !strcmp(path, "/dev")) dev = directory, dev_given = 0;
    return directory;
}

int closedir(DIR *directory) {
    static int (*real)(DIR *);
    if (!real) real = (int (*)(DIR *))dlsym(RTLD_NEXT, "closedir");
    if (directory == dev) dev = NULL;
    return real(directory);
}

struct dirent64 *readdir64(DIR *directory) {
    static struct dirent64 *(*real)(DIR *);
    static struct dirent64 entry;
    if (!real) real = (struct dirent64 * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir64");
    struct dirent64 *found;
    do found = real(directory);
    while (found && directory == dev && !strncmp(found->d_name, "video", 5));
    if (found || directory != dev || dev_given >= number("EMUCAM_NODES", 2)) return found;
    memset(&entry, 0, sizeof entry);
    entry.d_ino = 1;
    entry.d_type = DT_CHR;
    entry.d_reclen = sizeof entry;
    snprintf(entry.d_name, sizeof entry.d_name, "video%d", first_node() + dev_given++);
    return &entry;
}

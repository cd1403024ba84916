/* A camera for tests where there is none: preloaded into a process, it answers V4L2's calls on the FIFO $FAKE_CAMERA.
 *
 * The FIFO stands for the device's node, so that open, poll and select are the kernel's own: a byte in it is a frame that
 * waits. 640x480 and 320x240 are granted at 30 frames a second, in MJPEG ($FAKE_JPEG, of that size) and YUYV (grey, with
 * the frame's number as luma). $FAKE_FAULT: "busy"; "silent" or "unplugged" from the tenth frame on; "cut" (every third
 * JPEG is empty). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST 8
#define BUFFER_BYTES (640 * 480 * 2)
enum { FREE, QUEUED, FILLED };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t thread;
static unsigned width = 640, height = 480, format = V4L2_PIX_FMT_YUYV, count, frame;
static volatile int streaming;
static int camera = -1;
static struct { void *memory; int state; unsigned bytes, sequence; struct timeval time; } buffers[MOST];

static int fault(const char *name) {
    const char *asked = getenv("FAKE_FAULT");
    return asked && !strcmp(asked, name);
}

static int is_camera(int file) {
    struct stat device, opened;
    const char *path = getenv("FAKE_CAMERA");
    return path && !stat(path, &device) && !fstat(file, &opened) && device.st_ino == opened.st_ino &&
           device.st_dev == opened.st_dev;
}

static void fill(int index) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    buffers[index].time.tv_sec = now.tv_sec;
    buffers[index].time.tv_usec = now.tv_nsec / 1000;
    buffers[index].sequence = frame;
    if (format == V4L2_PIX_FMT_MJPEG) {
        FILE *jpeg = fopen(getenv("FAKE_JPEG"), "rb");
        buffers[index].bytes = jpeg ? fread(buffers[index].memory, 1, BUFFER_BYTES, jpeg) : 0;
        if (jpeg) fclose(jpeg);
        if (fault("cut") && frame % 3 == 2) memset(buffers[index].memory, 0, buffers[index].bytes);
    } else {
        unsigned char *bytes = buffers[index].memory;
        buffers[index].bytes = width * height * 2;
        for (unsigned i = 0; i < buffers[index].bytes; i += 2) bytes[i] = 16 + frame % 200, bytes[i + 1] = 128;
    }
    buffers[index].state = FILLED;
}

static void *film(void *unused) {
    for (; streaming; frame++) {
        usleep(33333);
        if (fault("silent") && frame >= 10) continue;
        pthread_mutex_lock(&lock);
        for (unsigned i = 0; i < count; i++)
            if (buffers[i].state == QUEUED) {
                fill(i);
                if (write(camera, "f", 1) != 1) streaming = 0;
                break;
            }
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

static int refuse(int reason) {
    errno = reason;
    return -1;
}

static void granted(struct v4l2_format *asked) {
    struct v4l2_pix_format *pix = &asked->fmt.pix;
    pix->width = width, pix->height = height, pix->pixelformat = format, pix->field = V4L2_FIELD_NONE;
    pix->bytesperline = format == V4L2_PIX_FMT_MJPEG ? 0 : width * 2;
    pix->sizeimage = BUFFER_BYTES, pix->colorspace = V4L2_COLORSPACE_SRGB;
}

static int answer(int file, unsigned long request, void *data) {
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *told = data;
        memset(told, 0, sizeof *told);
        strcpy((char *)told->driver, "uvcvideo");
        strcpy((char *)told->card, "Camera for tests");
        told->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        told->capabilities = told->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *told = data;
        if (told->index > 1) return refuse(EINVAL);
        told->pixelformat = told->index ? V4L2_PIX_FMT_YUYV : V4L2_PIX_FMT_MJPEG;
        strcpy((char *)told->description, told->index ? "YUYV 4:2:2" : "Motion-JPEG");
        return 0;
    }
    case VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *told = data;
        if (told->index > 1) return refuse(EINVAL);
        told->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        told->discrete.width = told->index ? 320 : 640, told->discrete.height = told->index ? 240 : 480;
        return 0;
    }
    case VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *told = data;
        if (told->index) return refuse(EINVAL);
        told->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        told->discrete.numerator = 1, told->discrete.denominator = 30;
        return 0;
    }
    case VIDIOC_ENUMINPUT:
        return ((struct v4l2_input *)data)->index ? refuse(EINVAL) : 0;
    case VIDIOC_G_INPUT:
        *(int *)data = 0;
        return 0;
    case VIDIOC_S_INPUT:
        return 0;
    case VIDIOC_S_FMT:
    case VIDIOC_TRY_FMT: {
        struct v4l2_pix_format *asked = &((struct v4l2_format *)data)->fmt.pix;
        if (fault("busy")) return refuse(EBUSY);
        if (asked->pixelformat != V4L2_PIX_FMT_MJPEG && asked->pixelformat != V4L2_PIX_FMT_YUYV) return refuse(EINVAL);
        format = asked->pixelformat;
        width = asked->width < 480 ? 320 : 640, height = asked->width < 480 ? 240 : 480;
        granted(data);
        return 0;
    }
    case VIDIOC_G_FMT:
        granted(data);
        return 0;
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: {
        struct v4l2_captureparm *told = &((struct v4l2_streamparm *)data)->parm.capture;
        told->capability = V4L2_CAP_TIMEPERFRAME;
        told->timeperframe.numerator = 1, told->timeperframe.denominator = 30;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *asked = data;
        if (fault("busy")) return refuse(EBUSY);
        count = asked->count = asked->count > MOST ? MOST : asked->count;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *told = data;
        if (told->index >= count) return refuse(EINVAL);
        told->length = BUFFER_BYTES, told->m.offset = told->index * BUFFER_BYTES;
        return 0;
    }
    case VIDIOC_QBUF:
        pthread_mutex_lock(&lock);
        buffers[((struct v4l2_buffer *)data)->index].state = QUEUED;
        pthread_mutex_unlock(&lock);
        return 0;
    case VIDIOC_DQBUF: {
        struct v4l2_buffer *told = data;
        int oldest = -1;
        char byte;
        if (fault("unplugged") && frame >= 10) return refuse(ENODEV);
        pthread_mutex_lock(&lock);
        for (unsigned i = 0; i < count; i++)
            if (buffers[i].state == FILLED && (oldest < 0 || buffers[i].sequence < buffers[oldest].sequence)) oldest = i;
        if (oldest >= 0 && read(file, &byte, 1) == 1) {
            buffers[oldest].state = FREE;
            told->index = oldest, told->bytesused = buffers[oldest].bytes, told->timestamp = buffers[oldest].time;
            told->sequence = buffers[oldest].sequence, told->length = BUFFER_BYTES;
            told->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        }
        pthread_mutex_unlock(&lock);
        return oldest < 0 ? refuse(EAGAIN) : 0;
    }
    case VIDIOC_STREAMON:
        camera = file, frame = 0, streaming = 1;
        return pthread_create(&thread, NULL, film, NULL) ? refuse(EIO) : 0;
    case VIDIOC_STREAMOFF: {
        char byte;
        if (streaming) {
            streaming = 0;
            pthread_join(thread, NULL);
        }
        while (read(file, &byte, 1) == 1) continue;
        for (unsigned i = 0; i < MOST; i++) buffers[i].state = FREE;
        return 0;
    }
    }
    return refuse(EINVAL);
}

int ioctl(int file, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *data = va_arg(list, void *);
    va_end(list);
    return is_camera(file) ? answer(file, request & 0xffffffff, data) : (int)syscall(SYS_ioctl, file, request, data);
}

static void *mapped(size_t length, off_t offset) {
    void *memory = (void *)syscall(SYS_mmap, NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    buffers[offset / BUFFER_BYTES].memory = memory;
    return memory;
}

void *mmap(void *at, size_t length, int protection, int flags, int file, off_t offset) {
    if (file >= 0 && is_camera(file)) return mapped(length, offset);
    return (void *)syscall(SYS_mmap, at, length, protection, flags, file, offset);
}

void *mmap64(void *at, size_t length, int protection, int flags, int file, off_t offset) {
    return mmap(at, length, protection, flags, file, offset);
}

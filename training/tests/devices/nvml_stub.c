/* Stands in for libnvidia-ml.so.1: GPUs that exist in a text file, read anew at every call so that a test can change
 * them while programs run. NVML_SIMULATION names the file; without it, the driver is "not loaded". Its lines:
 *
 *   gpu UUID MEMORY_MIB USED_MIB LOAD COMPUTE_MODE ECC_ERRORS REMAP_PENDING REMAP_FAILED RETIRED_PENDING MIG NAME...
 *   mig PARENT_UUID UUID MEMORY_MIB USED_MIB NAME...       an instance; its GPU must have MIG 1
 *   process UUID PID MEMORY_MIB compute|mps                MEMORY_MIB -1: not available
 *   fail FUNCTION UUID CODE                                UUID *: for every device, or for calls without one
 *
 * Declared here rather than by nvml.h, so that it builds without CUDA.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEVICES 64
#define MAX_PROCESSES 256
#define MAX_FAILURES 64
#define MIB (1024ULL * 1024ULL)
#define RESERVED_MIB 500ULL /* what a driver keeps for itself */

enum { OK = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, NOT_LOADED = 9 };

typedef struct {
    char uuid[96], parent[96], name[96]; /* parent: of a MIG instance */
    unsigned long long memory_mib, used_mib, ecc_errors;
    unsigned load, compute_mode, remap_pending, remap_failed, retired_pending, mig;
} device;

typedef struct {
    char uuid[96];
    unsigned pid;
    long long memory_mib;
    int is_mps;
} process;

typedef struct {
    char function[64], uuid[96];
    int code;
} failure;

typedef struct {
    device devices[MAX_DEVICES];
    process processes[MAX_PROCESSES];
    failure failures[MAX_FAILURES];
    int device_count, process_count, failure_count, loaded;
} machine;

typedef struct {
    unsigned long long total, free, used;
} memory_v1;

typedef struct {
    unsigned version;
    unsigned long long total, reserved, free, used;
} memory_v2;

typedef struct {
    unsigned gpu, memory;
} utilisation;

typedef struct {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
} process_info;

/* A thread-local copy: programs may ask from several threads. */
static _Thread_local machine now;

static void read_line(const char *line) {
    if (now.device_count < MAX_DEVICES) {
        device *d = &now.devices[now.device_count];
        memset(d, 0, sizeof *d);
        if (sscanf(line, "gpu %95s %llu %llu %u %u %llu %u %u %u %u %95[^\n]", d->uuid, &d->memory_mib, &d->used_mib,
                   &d->load, &d->compute_mode, &d->ecc_errors, &d->remap_pending, &d->remap_failed,
                   &d->retired_pending, &d->mig, d->name) == 11 ||
            sscanf(line, "mig %95s %95s %llu %llu %95[^\n]", d->parent, d->uuid, &d->memory_mib, &d->used_mib,
                   d->name) == 5) {
            now.device_count++;
            return;
        }
    }
    if (now.process_count < MAX_PROCESSES) {
        process *p = &now.processes[now.process_count];
        char kind[16];
        if (sscanf(line, "process %95s %u %lld %15s", p->uuid, &p->pid, &p->memory_mib, kind) == 4) {
            p->is_mps = strcmp(kind, "mps") == 0;
            now.process_count++;
            return;
        }
    }
    if (now.failure_count < MAX_FAILURES) {
        failure *f = &now.failures[now.failure_count];
        if (sscanf(line, "fail %63s %95s %d", f->function, f->uuid, &f->code) == 3) now.failure_count++;
    }
}

/* Reads the file; returns what the call must answer if the test wants it to fail. */
static int look(const char *function, void *handle, device **found) {
    const char *path = getenv("NVML_SIMULATION");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    size_t number = (size_t)handle;

    memset(&now, 0, sizeof now);
    if (!file) return NOT_LOADED;
    while (fgets(line, sizeof line, file)) read_line(line);
    fclose(file);
    device *d = number > 0 && number <= (size_t)now.device_count ? &now.devices[number - 1] : NULL;
    if (found) *found = d;
    for (int i = 0; i < now.failure_count; i++) {
        const failure *f = &now.failures[i];
        if (strcmp(f->function, function) == 0 && (f->uuid[0] == '*' || (d && strcmp(f->uuid, d->uuid) == 0)))
            return f->code;
    }
    return found && !d ? INVALID_ARGUMENT : OK;
}

static int is_gpu(const device *d) { return d->parent[0] == '\0'; }

#define LOOK(handle)                                                                                                   \
    device *d;                                                                                                         \
    int code = look(__func__, handle, &d);                                                                             \
    if (code != OK) return code

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    return look("nvmlInit", NULL, NULL);
}

int nvmlInit_v2(void) { return look("nvmlInit", NULL, NULL); }

int nvmlShutdown(void) { return OK; }

const char *nvmlErrorString(int code) {
    static _Thread_local char text[32];
    snprintf(text, sizeof text, "simulated error %d", code);
    return text;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    int code = look(__func__, NULL, NULL);
    *count = 0;
    for (int i = 0; i < now.device_count; i++) *count += is_gpu(&now.devices[i]);
    return code;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    int code = look(__func__, NULL, NULL);
    if (code != OK) return code;
    for (int i = 0; i < now.device_count; i++) {
        if (!is_gpu(&now.devices[i]) || index-- > 0) continue;
        device *d;
        *handle = (void *)(size_t)(i + 1);
        return look(__func__, *handle, &d);
    }
    return INVALID_ARGUMENT;
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length) {
    LOOK(handle);
    snprintf(uuid, length, "%s", d->uuid);
    return OK;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned length) {
    LOOK(handle);
    snprintf(name, length, "%s", d->name);
    return OK;
}

int nvmlDeviceGetMemoryInfo(void *handle, memory_v1 *memory) {
    LOOK(handle);
    memory->total = (d->memory_mib + RESERVED_MIB) * MIB;
    memory->used = (d->used_mib + RESERVED_MIB) * MIB;
    memory->free = memory->total - memory->used;
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2 *memory) {
    LOOK(handle);
    memory->total = (d->memory_mib + RESERVED_MIB) * MIB;
    memory->reserved = RESERVED_MIB * MIB;
    memory->used = d->used_mib * MIB;
    memory->free = (d->memory_mib - d->used_mib) * MIB;
    return OK;
}

int nvmlDeviceGetUtilizationRates(void *handle, utilisation *rates) {
    LOOK(handle);
    if (!is_gpu(d)) return NOT_SUPPORTED;
    rates->gpu = d->load;
    rates->memory = 0;
    return OK;
}

int nvmlDeviceGetComputeMode(void *handle, unsigned *mode) {
    LOOK(handle);
    *mode = d->compute_mode;
    return OK;
}

int nvmlDeviceGetTotalEccErrors(void *handle, unsigned kind, unsigned counter, unsigned long long *count) {
    LOOK(handle);
    (void)counter;
    *count = kind == 1 ? d->ecc_errors : 0;
    return OK;
}

int nvmlDeviceGetRemappedRows(void *handle, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                              unsigned *failed) {
    LOOK(handle);
    *corrected = 0;
    *uncorrected = *pending = d->remap_pending;
    *failed = d->remap_failed;
    return OK;
}

int nvmlDeviceGetRetiredPagesPendingStatus(void *handle, unsigned *pending) {
    LOOK(handle);
    *pending = d->retired_pending;
    return OK;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    LOOK(handle);
    *current = *pending = d->mig;
    return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
    LOOK(handle);
    *count = 7;
    return OK;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **instance) {
    LOOK(handle);
    for (int i = 0; i < now.device_count; i++) {
        if (strcmp(now.devices[i].parent, d->uuid) != 0 || index-- > 0) continue;
        *instance = (void *)(size_t)(i + 1);
        return OK;
    }
    return NOT_FOUND;
}

static int list(const char *function, void *handle, unsigned *count, process_info *infos, int is_mps) {
    device *d;
    int code = look(function, handle, &d);
    unsigned room = *count, found = 0;

    if (code != OK) return code;
    for (int i = 0; i < now.process_count; i++) {
        const process *p = &now.processes[i];
        if (strcmp(p->uuid, d->uuid) != 0 || p->is_mps != is_mps) continue;
        if (infos && found < room) {
            infos[found].pid = p->pid;
            infos[found].used = p->memory_mib < 0 ? ~0ULL : (unsigned long long)p->memory_mib * MIB;
            infos[found].gpu_instance = infos[found].compute_instance = ~0U;
        }
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process_info *infos) {
    return list(__func__, handle, count, infos, 0);
}

int nvmlDeviceGetMPSComputeRunningProcesses_v3(void *handle, unsigned *count, process_info *infos) {
    return list(__func__, handle, count, infos, 1);
}

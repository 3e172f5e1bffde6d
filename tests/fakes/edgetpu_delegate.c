/* Stands in for libedgetpu: a delegate that takes no operator, or, with -DNO_DEVICE, one that finds no Edge TPU.
   The functions are those of tensorflow/lite/delegates/external/external_delegate_interface.h. */
#include <stdint.h>
#include <stdlib.h>

struct delegate {
  void *data;
  int (*prepare)(void *context, struct delegate *delegate);
  void *copy_from, *copy_to, *free_buffer;
  int64_t flags;
  void *builder;
};

static int takes_nothing(void *context, struct delegate *delegate) {
  (void)context;
  (void)delegate;
  return 0;
}

struct delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  (void)keys;
  (void)values;
  (void)count;
#ifdef NO_DEVICE
  report("no device found");
  return NULL;
#else
  (void)report;
  struct delegate *made = calloc(1, sizeof *made);
  made->prepare = takes_nothing;
  return made;
#endif
}

void tflite_plugin_destroy_delegate(struct delegate *delegate) { free(delegate); }

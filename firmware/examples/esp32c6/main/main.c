/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A heater of one phase on an ESP32-C6 or ESP32-H2, with the ESP Zigbee SDK (esp-zigbee-lib 1.6) and ESP-IDF.
 *
 * THIS FILE WAS NEVER COMPILED FOR ITS TARGET AND NEVER RAN ON A BOARD. It was written from the headers of
 * the SDK, to show where the calls of slave.h belong. What is behind these calls is tested (see ../../..);
 * this file is not. Run `sunkeep zigbee conformance` against whatever you make of it.
 */
#include <string.h>

#include "aps/esp_zigbee_aps.h"
#include "driver/ledc.h"
#include "esp_check.h"
#include "esp_random.h"
#include "esp_task_wdt.h"
#include "esp_timer.h"
#include "esp_zigbee_core.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs.h"
#include "nvs_flash.h"

#include "slave.h"

#define ENDPOINT 1
#define CONTROL_EVERY_MS 50
#define CONTROL_GPIO 4 /* PWM, filtered to 0-10 V, into the power regulator */
#define MAX_DUTY 8191
/* One write in 20 accepted frames: at one frame every 2 s the flash outlives the heater. */
#define COUNTERS_AHEAD 19

static sunkeep_slave slave;
static nvs_handle_t storage;
static uint8_t transaction;
static bool joined;

static uint64_t now_ms(void) { return (uint64_t)esp_timer_get_time() / 1000u; }

/* --- what slave.h asks of the platform ------------------------------------------------------------------ */

static sunkeep_counter load_counter(void *context, uint32_t *counter)
{
    (void)context;
    switch (nvs_get_u32(storage, "counter", counter)) {
    case ESP_OK:
        return SUNKEEP_COUNTER_FOUND;
    case ESP_ERR_NVS_NOT_FOUND:
        return SUNKEEP_COUNTER_NONE; /* `commission` below stores the key first and the counter never */
    default:
        return SUNKEEP_COUNTER_FAILED;
    }
}

static bool store_counter(void *context, uint32_t counter)
{
    (void)context;
    return nvs_set_u32(storage, "counter", counter) == ESP_OK && nvs_commit(storage) == ESP_OK;
}

static uint32_t random_word(void *context)
{
    (void)context;
    return esp_random();
}

/* Slot, rating, site key and install code are written into NVS when the device is commissioned. */
static bool read_config(sunkeep_config *config, uint8_t install_code[18])
{
    size_t key_size = sizeof config->key, code_size = 18;
    memset(config, 0, sizeof *config);
    config->counters_ahead = COUNTERS_AHEAD;
    return nvs_get_u8(storage, "slot", &config->slot) == ESP_OK &&
           nvs_get_i16(storage, "max_w", &config->max_w) == ESP_OK &&
           nvs_get_blob(storage, "site_key", config->key, &key_size) == ESP_OK &&
           nvs_get_blob(storage, "install_code", install_code, &code_size) == ESP_OK &&
           key_size == SUNKEEP_KEY_BYTES && code_size == 18;
}

/* --- the radio ------------------------------------------------------------------------------------------ */

static bool on_aps_frame(esp_zb_apsde_data_ind_t frame)
{
    size_t size;
    if (frame.status != 0 || frame.cluster_id != SUNKEEP_CLUSTER || frame.profile_id != ESP_ZB_AF_HA_PROFILE_ID) {
        return false; /* the stack answers ZDO and the Basic cluster by itself */
    }
    const uint8_t *payload = sunkeep_unwrap(frame.asdu, frame.asdu_length, &size);
    if (payload != NULL) {
        (void)sunkeep_slave_receive(&slave, payload, size, now_ms());
    }
    return true;
}

static void send_report(const sunkeep_report *report)
{
    static uint8_t zcl[SUNKEEP_REPORT_FRAME_BYTES]; /* the stack may read it after we return */
    sunkeep_encode_report_frame(report, transaction++, slave.config.key, slave.config.network_id, zcl);
    esp_zb_apsde_data_req_t request = {
        .dst_addr_mode = ESP_ZB_APS_ADDR_MODE_16_ENDP_PRESENT,
        .dst_addr.addr_short = 0x0000,
        .dst_endpoint = ENDPOINT,
        .src_endpoint = ENDPOINT,
        .profile_id = ESP_ZB_AF_HA_PROFILE_ID,
        .cluster_id = SUNKEEP_CLUSTER,
        .tx_options = ESP_ZB_APSDE_TX_OPT_ACK_TX,
        .radius = 30,
        .asdu_length = sizeof zcl,
        .asdu = zcl,
    };
    (void)esp_zb_aps_data_request(&request); /* one that is lost is asked for again */
}

/* --- the power stage ------------------------------------------------------------------------------------ */

static void set_power(int32_t power_mw)
{
    const int32_t full_w = slave.config.max_w > 0 ? slave.config.max_w : 1;
    const uint32_t duty = (uint32_t)((int64_t)power_mw * MAX_DUTY / 1000 / full_w);
    ledc_set_duty(LEDC_LOW_SPEED_MODE, LEDC_CHANNEL_0, duty);
    ledc_update_duty(LEDC_LOW_SPEED_MODE, LEDC_CHANNEL_0);
}

static int32_t measured_w(void) { return SUNKEEP_NOT_MEASURED; /* a board with a power meter says it here */ }

/* Runs in the task of the Zigbee stack, as `on_aps_frame` does: the slave is touched by one task only. */
static void control(uint8_t unused)
{
    (void)unused;
    sunkeep_report report;
    set_power(sunkeep_slave_power_mw(&slave, now_ms()));
    if (joined && sunkeep_slave_poll(&slave, measured_w(), now_ms(), &report)) {
        send_report(&report);
    }
    esp_task_wdt_reset(); /* a stack that hangs resets the chip, and the regulator falls to 0 V */
    esp_zb_scheduler_alarm(control, 0, CONTROL_EVERY_MS);
}

/* --- start ---------------------------------------------------------------------------------------------- */

static void steer(uint8_t mode) { (void)esp_zb_bdb_start_top_level_commissioning(mode); }

void esp_zb_app_signal_handler(esp_zb_app_signal_t *signal)
{
    const esp_zb_app_signal_type_t kind = *signal->p_app_signal;
    const bool ok = signal->esp_err_status == ESP_OK;
    switch (kind) {
    case ESP_ZB_ZDO_SIGNAL_SKIP_STARTUP:
        steer(ESP_ZB_BDB_MODE_INITIALIZATION);
        break;
    case ESP_ZB_BDB_SIGNAL_DEVICE_FIRST_START:
    case ESP_ZB_BDB_SIGNAL_DEVICE_REBOOT:
    case ESP_ZB_BDB_SIGNAL_STEERING:
        joined = ok && !esp_zb_bdb_is_factory_new();
        if (joined) { /* part of every tag, least significant byte first */
            esp_zb_get_extended_pan_id(slave.config.network_id);
        } else { /* refused, or a key that cannot be decrypted: not yet */
            esp_zb_scheduler_alarm(steer, ESP_ZB_BDB_MODE_NETWORK_STEERING, 2000);
        }
        break;
    default:
        break;
    }
}

static void zigbee_task(void *install_code)
{
    esp_zb_cfg_t stack = {
        .esp_zb_role = ESP_ZB_DEVICE_TYPE_ROUTER,
        .install_code_policy = true,
        .nwk_cfg.zczr_cfg.max_children = 10,
    };
    esp_zb_init(&stack);
    ESP_ERROR_CHECK(esp_zb_secur_ic_set(ESP_ZB_IC_TYPE_128, install_code));

    esp_zb_basic_cluster_cfg_t basic = {.zcl_version = 3, .power_source = 0x01};
    esp_zb_attribute_list_t *attributes = esp_zb_basic_cluster_create(&basic);
    esp_zb_basic_cluster_add_attr(attributes, ESP_ZB_ZCL_ATTR_BASIC_MANUFACTURER_NAME_ID, "\x07" "Example");
    esp_zb_basic_cluster_add_attr(attributes, ESP_ZB_ZCL_ATTR_BASIC_MODEL_IDENTIFIER_ID, "\x0b" "power slave");
    esp_zb_cluster_list_t *clusters = esp_zb_zcl_cluster_list_create();
    esp_zb_cluster_list_add_basic_cluster(clusters, attributes, ESP_ZB_ZCL_CLUSTER_SERVER_ROLE);
    esp_zb_cluster_list_add_custom_cluster(clusters, esp_zb_zcl_attr_list_create(SUNKEEP_CLUSTER),
                                           ESP_ZB_ZCL_CLUSTER_SERVER_ROLE);
    esp_zb_ep_list_t *endpoints = esp_zb_ep_list_create();
    const esp_zb_endpoint_config_t endpoint = {
        .endpoint = ENDPOINT,
        .app_profile_id = ESP_ZB_AF_HA_PROFILE_ID,
        .app_device_id = ESP_ZB_HA_SMART_PLUG_DEVICE_ID,
        .app_device_version = 1,
    };
    esp_zb_ep_list_add_ep(endpoints, clusters, endpoint);
    esp_zb_device_register(endpoints);

    esp_zb_aps_data_indication_handler_register(on_aps_frame);
    esp_zb_set_primary_network_channel_set(ESP_ZB_TRANSCEIVER_ALL_CHANNELS_MASK);
    ESP_ERROR_CHECK(esp_zb_start(false));
    ESP_ERROR_CHECK(esp_task_wdt_add(NULL));
    esp_zb_scheduler_alarm(control, 0, CONTROL_EVERY_MS);
    esp_zb_stack_main_loop();
}

void app_main(void)
{
    static uint8_t install_code[18];
    const sunkeep_port port = {load_counter, store_counter, random_word, NULL};
    sunkeep_config config;

    const ledc_timer_config_t timer = {
        .speed_mode = LEDC_LOW_SPEED_MODE,
        .duty_resolution = LEDC_TIMER_13_BIT,
        .timer_num = LEDC_TIMER_0,
        .freq_hz = 4000,
    };
    const ledc_channel_config_t channel = {
        .gpio_num = CONTROL_GPIO, .speed_mode = LEDC_LOW_SPEED_MODE, .channel = LEDC_CHANNEL_0, .duty = 0};
    ESP_ERROR_CHECK(ledc_timer_config(&timer)); /* 0 V before anything else can go wrong */
    ESP_ERROR_CHECK(ledc_channel_config(&channel));

    /* An erased NVS would forget the counter, and with it what replays are: never erase it to repair it. */
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(nvs_open("sunkeep", NVS_READWRITE, &storage));
    if (!read_config(&config, install_code) || !sunkeep_slave_init(&slave, &config, &port, now_ms())) {
        return; /* not commissioned, or no counter: stays at 0 V */
    }
    const esp_zb_platform_config_t platform = {
        .radio_config = {.radio_mode = ZB_RADIO_MODE_NATIVE},
        .host_config = {.host_connection_mode = ZB_HOST_CONNECTION_MODE_NONE},
    };
    ESP_ERROR_CHECK(esp_zb_platform_config((esp_zb_platform_config_t *)&platform));
    xTaskCreate(zigbee_task, "zigbee", 8192, install_code, 5, NULL);
}
